#include <utility>
#include <vector>

#include "kvtransfer/cache/borrowed_cache.hpp"
#include "kvtransfer/cache/cache.hpp"
#include "rope/random_keys.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

constexpr double largest = 448;

/// Two layers of two rows in fp8, the first with two slots of padding in front whose numbers are the largest there are.
struct padded_fp8 {
  std::vector<at::Tensor> keys, values;
  cache_frame frame;

  padded_fp8() {
    position_row padded;
    padded.append({0, 2, 0, slot_state::padding()});
    padded.append({0, 4, 1, slot_state::rotated()});
    frame =
        cache_frame(2, {position_map(1, 2, 1, {padded, position_row::consecutive(0, 6)}), {plain_specification(8)}});
    for (int i = 0; i < 2; ++i) {
      at::Tensor of_layer = random_keys({2, 2, 6, 8}, at::kFloat, static_cast<std::uint64_t>(i));
      of_layer[0].narrow(1, 0, 2).sign_().mul_(largest);
      keys.push_back(of_layer.to(at::kFloat8_e4m3fn));
      values.push_back(keys.back().clone());
    }
  }

  [[nodiscard]] at::Tensor bytes(std::size_t layer) const { return keys[layer].view(at::kByte); }
};

}  // namespace

TEST_CASE("what lies in padding refuses no move of fp8 keys", "[cache][fp8]") {
  padded_fp8 given;
  cache kv(given.keys, given.values, given.frame, as_written);
  kv.shift(1000);
  CHECK_NOTHROW(kv.materialize());
  padded_fp8 again;
  borrowed_cache<> lent(again.keys, again.values, again.frame, as_written);
  CHECK_NOTHROW(lent.shift(1000));
  for (std::size_t layer = 0; layer < 2; ++layer) {
    const at::Tensor own = kv.view().layer(static_cast<std::int64_t>(layer)).keys();
    CHECK(own.narrow(2, 2, 4).to(at::kFloat).equal(again.keys[layer].narrow(2, 2, 4).to(at::kFloat)));
  }
}

TEST_CASE("one fp8 key that would outgrow its type refuses the move of the whole cache", "[cache][fp8]") {
  const char* const words =
      "expected rotated elements of at most 448 in float8_e4m3fn (quantize the cache again with a larger scale), got ";
  padded_fp8 given;
  given.keys[1].narrow(0, 1, 1).narrow(1, 1, 1).narrow(2, 3, 1).copy_(
      random_keys({1, 1, 1, 8}).sign().mul(largest).to(at::kFloat8_e4m3fn));
  const std::vector<at::Tensor> before{given.bytes(0).clone(), given.bytes(1).clone()};
  borrowed_cache<> lent(given.keys, given.values, given.frame, as_written);
  CHECK_THAT(message_of<value_error>([&] { lent.shift(1000); }), contains(words));
  cache kv(given.keys, given.values, given.frame, as_written);
  kv.shift(1000);
  CHECK_THAT(message_of<value_error>([&] { kv.materialize(); }), contains(words));
  CHECK(given.bytes(0).equal(before[0]));
  CHECK(given.bytes(1).equal(before[1]));
}
