#include "kvtransfer/cache/assume_origin.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>

#include "kvtransfer/cache/cache.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

cache of_origin(const cache_origin& origin) {
  cache_frame frame(1, layer_frame{position_map::consecutive(0, 3), {rotary_specification{.inv_freq = {1.0F, 0.1F}}}});
  frame.set_origin(origin);
  return cache({at::ones({1, 2, 3, 4})}, {at::ones({1, 2, 3, 4})}, frame, as_written);
}

}  // namespace

TEST_CASE("a cache in memory is taken for another storage's of the same weights when asked to", "[cache][origin]") {
  const model_identity wrote{.digest = "a", .quantization = "Q4_1", .tokenizer = "t"};
  const model_identity reads{.digest = "b", .quantization = "none", .tokenizer = "t"};
  cache kept = of_origin(wrote);
  kept.shift(2);
  const cache_view<> taken = assume_same_weights(kept.view(), reads);
  CHECK(taken.frame().model() == reads);
  CHECK(taken.frame().origin().basis() == origin_basis::same_weights);
  CHECK_FALSE(taken.frame().assumed());  // no check is off
  CHECK(taken.has_pending_move());
  CHECK(at::equal(taken.layer(0).keys(), kept.view().layer(0).keys()));
  CHECK(cache(taken).view().frame().origin().basis() == origin_basis::same_weights);
  CHECK(kept.view().frame().model() == wrote);  // the cache itself stays what it is
}

TEST_CASE("a cache in memory is not taken for one of other weights than may be", "[cache][origin]") {
  const model_identity wrote{.digest = "a", .tokenizer = "t"};
  const cache kept = of_origin(wrote);
  CHECK(message_of<frame_error>([&] { (void)assume_same_weights(kept.view(), {.digest = "b", .tokenizer = "u"}); }) ==
        "assume_same_weights: model: expected tokenizer u, got tokenizer t");
  CHECK(message_of<frame_error>([&] { (void)assume_unknown_origin(kept.view(), wrote); }) ==
        "assume_unknown_origin: model: expected a cache of unknown origin, got a");
  const cache nobodys = of_origin({});
  CHECK(message_of<frame_error>([&] { (void)assume_same_weights(nobodys.view(), wrote); }) ==
        "assume_same_weights: model: expected a cache of known origin, got one of unknown origin");
  CHECK(assume_unknown_origin(nobodys.view(), wrote).frame().origin().basis() == origin_basis::unknown_origin);
}

}  // namespace kvtransfer::test
