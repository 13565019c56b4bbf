#include "kernels/rope/key_checks.hpp"

#include <cstdint>
#include <limits>
#include <string>

#include "kernels/rope/rotation_cases.hpp"
#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

namespace kvtransfer::test::kernels {
namespace {

const kernel_rotation by_one{.delta = 1, .to_inv_freq = plain_frequencies(4)};

std::string complaint(at::TensorList keys, const kernel_rotation& rotation = by_one) {
  return message_of<error>([&] { rotate_by_kernel(keys, rotation); });
}

}  // namespace

TEST_CASE("the kernels refuse keys that they cannot rotate in place", "[rope][kernels][key_checks]") {
  const at::Tensor keys = random_keys({2, 3, 5, 8});
  CHECK_THAT(complaint(at::TensorList{}), StartsWith("rotate_keys_: keys: expected at least one layer"));
  CHECK_THAT(complaint({keys[0]}), contains("expected [batch, kv_heads, seq, head_dim], got Float [3, 5, 8]"));
  CHECK_THAT(complaint({keys.to(at::kDouble)}), contains("got Double [2, 3, 5, 8]"));
  CHECK_THAT(complaint({keys.to(at::kLong)}), contains("got Long"));
  CHECK_THAT(complaint({keys, keys.narrow(2, 0, 4)}), contains("Float [2, 3, 5, 8] in every layer"));
  CHECK_THAT(complaint({keys.transpose(2, 3)}), contains("contiguous head_dim"));
  CHECK_THAT(complaint({keys.narrow(0, 0, 1).expand({2, 3, 5, 8})}), contains("no two indices at one element"));
  CHECK_THAT(complaint({keys.as_strided({2, 3, 5, 8}, {24, 8, 4, 1})}), contains("no two indices at one element"));
  CHECK_THAT(complaint({keys, keys}), contains("layers that share no memory, got layers 0 and 1 that overlap"));
  const at::Tensor longer = random_keys({2, 3, 9, 8});
  CHECK_THAT(complaint({longer.narrow(2, 0, 5), longer.narrow(2, 4, 5)}), contains("got layers 0 and 1 that overlap"));
  CHECK(complaint({longer.slice(2, 0, 8, 2), longer.slice(2, 1, 9, 2)}).empty());  // which interleave
  CHECK_THAT(complaint({longer.slice(2, 0, 6, 2), longer.slice(2, 1, 7, 2), longer.slice(2, 2, 8, 2)}),
             contains("got layers 0 and 2 that overlap"));
}

TEST_CASE("the kernels refuse frequencies and positions that do not fit the keys", "[rope][kernels][key_checks]") {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const at::Tensor keys = random_keys({2, 3, 5, 8});
  const at::Tensor f = plain_frequencies(4);
  const at::Tensor positions = random_positions({5});
  CHECK_THAT(complaint({keys}, {.delta = 1}), StartsWith("rotate_keys: to_inv_freq: expected the frequencies"));
  CHECK_THAT(complaint({keys}, {.from = positions, .to = positions, .to_inv_freq = f}),
             StartsWith("rotate_keys: from_inv_freq"));
  CHECK_THAT(complaint({keys}, {.delta = 1, .to_inv_freq = f.to(at::kDouble)}), contains("got Double [4] on cpu"));
  CHECK_THAT(complaint({keys}, {.delta = 1, .to_inv_freq = plain_frequencies(5)}), contains("got 10 from 0 on"));
  CHECK_THAT(complaint({keys}, {.delta = 1, .to_inv_freq = f, .window_offset = 1}), contains("got 8 from 1 on"));
  for (const std::int64_t far : {most - 7, most, most / 2, -most - 1}) {  // where a sum with the width wraps too
    CHECK_THAT(complaint({keys}, {.delta = 1, .to_inv_freq = f, .window_offset = far}), contains("elements within"));
  }
  for (const std::int64_t far : {most, -most - 1, std::int64_t{1} << 26}) {
    CHECK_THAT(complaint({keys}, {.delta = far, .to_inv_freq = f}), StartsWith("rotate_keys: delta: expected at most"));
  }
  for (const std::int64_t far : {most, -most - 1, (std::int64_t{1} << 24) + 1, -(std::int64_t{1} << 31)}) {
    const at::Tensor reaching = at::tensor({std::int64_t{0}, std::int64_t{1}, far, std::int64_t{2}, std::int64_t{3}});
    CHECK_THAT(complaint({keys}, {.to = reaching, .to_inv_freq = f}), StartsWith("rotate_keys: to: expected at most"));
    CHECK_THAT(complaint({keys}, {.from = reaching, .to = positions, .from_inv_freq = f, .to_inv_freq = f}),
               StartsWith("rotate_keys: from: expected at most"));
  }
  CHECK(complaint({keys.clone()}, {.to = positions.new_full({5}, std::int64_t{1} << 24), .to_inv_freq = f}).empty());
  CHECK_THAT(complaint({keys}, {.delta = 1, .to_inv_freq = f / 0}),
             StartsWith("rotate_keys: to_inv_freq: expected finite"));
  CHECK_THAT(complaint({keys}, {.to = random_positions({6}), .to_inv_freq = f}),
             contains("expected Long that broadcasts to [1, 2, 3, 5] on cpu, got Long [6] on cpu"));
  CHECK_THAT(complaint({keys}, {.to = positions.to(at::kInt), .to_inv_freq = f}), contains("got Int [5] on cpu"));
  CHECK_THAT(complaint({keys}, {.delta = 1, .to_inv_freq = f, .gain = std::nan("")}), StartsWith("rotate_keys: gain"));
  CHECK_THAT(complaint({keys}, {.to = positions, .to_inv_freq = f, .stream_of = at::tensor({0, 1}, at::kByte)}),
             StartsWith("rotate_keys: stream_of"));
}

TEST_CASE("keys without elements are left alone", "[rope][kernels][key_checks]") {
  const at::Tensor none = random_keys({2, 3, 0, 8});
  CHECK(complaint({none, none}).empty());
  CHECK(rotated_by_kernel({none}, by_one)[0].sizes() == none.sizes());
}

}  // namespace kvtransfer::test::kernels
