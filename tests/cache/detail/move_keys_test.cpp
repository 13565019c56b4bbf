#include <ATen/ops/equal.h>
#include <ATen/ops/norm.h>

#include <vector>

#include "kvtransfer/cache/detail/move_tensors.hpp"
#include "kvtransfer/cache/detail/moved_frame.hpp"
#include "rope/complex_reference.hpp"
#include "rope/random_keys.hpp"
#include "support/tensors.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// Six keys from position 10 on: four in block 3, two in block 1.
layouts::slot_table six_in_two_blocks() { return {1, 6, {{0, 0, 3, 0, 4}, {0, 4, 1, 0, 2}}, 4}; }

cache_frame six_keys(std::int64_t layers, double scaling = 1) {
  rotary_specification specification = plain_specification(8);
  specification.attention_scaling = scaling;
  return cache_frame(layers, {position_map::consecutive(10, 6), {specification}});
}

}  // namespace

TEST_CASE("stored keys rotate as complex numbers do, and no other slot is touched", "[cache][move_keys]") {
  const at::Tensor pool = random_keys({5, 2, 4, 8}, at::kDouble);
  const at::Tensor before = pool.clone();
  const cache_frame written = six_keys(1);
  detail::move_keys({{pool, six_in_two_blocks()}}, written, shifted(written, 9));
  const rotary_specification& rotary = written.layer(0).specifications.front();
  const at::Tensor rotated = rotated_as_complex(before, rotary, 1.0, [&](auto, auto, auto, std::int64_t pair) {
    return 9.0 * static_cast<double>(rotary.inv_freq[static_cast<std::size_t>(pair)]);
  });
  at::Tensor expected = before.clone();
  expected[3].copy_(rotated[3]);
  expected[1].slice(1, 0, 2).copy_(rotated[1].slice(1, 0, 2));
  CHECK(max_difference(pool, expected) < 1e-12);
  CHECK(at::equal(pool[1].slice(1, 2), before[1].slice(1, 2)));
  CHECK(at::equal(pool[0], before[0]));
  CHECK(at::equal(pool[2], before[2]));
  CHECK(at::equal(pool[4], before[4]));
}

TEST_CASE("attention scaling goes into stored keys once and comes off again", "[cache][move_keys]") {
  const at::Tensor pool = random_keys({5, 2, 4, 8}, at::kDouble);
  const at::Tensor before = pool.clone();
  const cache_frame written = six_keys(1, 1.5);
  const cache_frame plain = unrotated(written, "test");
  detail::move_keys({{pool, six_in_two_blocks()}}, written, plain);
  CHECK(at::equal(pool[1].slice(1, 2), before[1].slice(1, 2)));
  CHECK(pool[3].norm().item<double>() == Approx(before[3].norm().item<double>() / 1.5));
  detail::move_keys({{pool, six_in_two_blocks()}}, plain, written);
  CHECK(max_difference(pool, before) < 1e-12);
}

TEST_CASE("an error in one layer leaves all layers as they were", "[cache][move_keys]") {
  const at::Tensor good = random_keys({5, 2, 4, 8});
  const at::Tensor overlapping = random_keys({5, 1, 4, 8}).expand({5, 2, 4, 8});
  const at::Tensor before = good.clone();
  const cache_frame written = six_keys(2);
  CHECK_THROWS_AS(detail::move_keys({{good, six_in_two_blocks()}, {overlapping, six_in_two_blocks()}}, written,
                                    shifted(written, 1)),
                  shape_error);
  CHECK(at::equal(good, before));
}

TEST_CASE("a norm after RoPE is undone for one layer at a time", "[cache][move_keys]") {
  const cache_frame written = six_keys(2);
  const layouts::storage keys{random_keys({5, 2, 4, 8}), six_in_two_blocks()};
  CHECK_THROWS_AS(detail::move_keys({keys, keys}, written, shifted(written, 1), {.norm_weight = random_keys({8})}),
                  value_error);
}
