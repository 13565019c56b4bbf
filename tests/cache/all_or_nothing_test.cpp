#include <ATen/ops/equal.h>

#include <vector>

#include "cache/known_cache.hpp"
#include "cache/layout_cases.hpp"
#include "kvtransfer/cache/borrowed_cache.hpp"
#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/quantized/quantize_cache.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// For two layers of which the second can't be moved so: its rotary window would be another.
std::vector<rotary_specification> refused_for_the_second(const rotary_specification& specification) {
  rotary_specification narrower = specification;
  narrower.inv_freq.pop_back();
  rotary_specification scaled = specification;
  scaled.attention_scaling = 1.5;
  return {scaled, narrower};
}

}  // namespace

TEST_CASE("a refusal in a later layer leaves the keys of earlier ones where they were", "[cache][all_or_nothing]") {
  known_cache known = known_cache_of(2, 4);
  const cache_view<> view = known.kv.view();
  const at::Tensor before = view.layer(0).keys().clone();
  known.kv.reframe(refused_for_the_second(known_specification()));
  const cache_frame target = known.kv.target();
  CHECK_THROWS_AS(known.kv.materialize(), frame_error);
  CHECK(at::equal(view.layer(0).keys(), before));  // nor is the view stale
  CHECK(known.kv.stored() == view.frame());
  CHECK(known.kv.target() == target);
  CHECK(known.kv.stored().roundings() == 0);
}

TEST_CASE("a refusal in a later layer or block leaves borrowed tensors as they were, in any layout",
          "[cache][all_or_nothing]") {
  for_each_layout(reference_in(at::kFloat, padding_side::left), [](const auto& view) {
    borrowed_cache borrowed(view);
    const at::Tensor before = view.layer(0).stored_keys().clone();
    const cache_frame frame = borrowed.frame();
    CHECK_THROWS_AS(borrowed.reframe(refused_for_the_second(frame.layer(0).specifications.front())), frame_error);
    CHECK(at::equal(view.layer(0).stored_keys(), before));
    CHECK(borrowed.frame() == frame);
    CHECK(borrowed.frame().roundings() == 0);
  });
}

TEST_CASE("a refusal in a later layer leaves codes as they were", "[cache][all_or_nothing]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::none);
  quantized_cache kv = quantize(reference.view(), kivi_keys(4, 11), kivi_values(4, 8));
  const at::Tensor codes = kv.keys(0).codes.clone();
  const at::Tensor scales = kv.keys(0).scales.clone();
  kv.reframe(refused_for_the_second(reference.frame.layer(0).specifications.front()));
  CHECK_THROWS_AS(kv.materialize(), frame_error);
  CHECK(at::equal(kv.stored_keys(0).codes, codes));
  CHECK(at::equal(kv.stored_keys(0).scales, scales));
}

TEST_CASE("positions that would lie too far away are refused before any moves", "[cache][all_or_nothing]") {
  known_cache known = known_cache_in(cache_frame(
      {std::make_shared<const layer_frame>(layer_frame{position_map::consecutive(0, 4), {known_specification()}}),
       std::make_shared<const layer_frame>(
           layer_frame{position_map::consecutive(farthest_position - 3, 4), {known_specification()}})}));
  const cache_frame before = known.kv.target();
  CHECK_THROWS_AS(known.kv.shift(1), value_error);
  CHECK_THROWS_AS(known.kv.close_gaps(std::numeric_limits<std::int64_t>::max() - 1), value_error);
  CHECK(known.kv.target() == before);
  CHECK(known.kv.materialized());
}

TEST_CASE("gaps are closed in every row and head, around padding", "[cache][all_or_nothing]") {
  position_row first;
  first.append({10, 2, 1, slot_state::rotated()});
  first.append({0, 1, 0, slot_state::padding()});
  first.append({40, 3, 1, slot_state::rotated()});
  const position_row second = position_row::listed({5, 5, 9, 11, 12, 30});
  known_cache known = known_cache_in(cache_frame(1, {position_map(1, 1, 2, {first, second}), {known_specification()}}));
  known.kv.close_gaps(3);
  CHECK(known.kv.target().layer(0).positions.row(0, 0, 0).positions() == std::vector<std::int64_t>{3, 4, 0, 5, 6, 7});
  CHECK(known.kv.target().layer(0).positions.row(0, 0, 1) == position_row::consecutive(3, 6));
  CHECK(distance_from_written(known) < 1e-12);
  const known_cache elsewhere = known_cache_in(cache_frame(1, {position_map(second), {known_specification()}}));
  borrowed_cache borrowed(elsewhere.kv.view());
  borrowed.close_gaps();
  CHECK(borrowed.frame().layer(0).positions == position_map::consecutive(0, 6));
}
