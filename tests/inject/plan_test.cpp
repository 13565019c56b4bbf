#include "kvtransfer/inject/plan.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>

#include <vector>

#include "cache/known_cache.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a plan that injects nothing reads its text from position 0 on", "[inject][plan]") {
  const plan text = plan_of({{5, 6, 7}});
  CHECK(text.batch() == 1);
  CHECK(text.size() == 3);
  CHECK(text.positions == position_map::consecutive(0, 3));
  CHECK(text.layers.empty());
  CHECK(text.injected(17) == 0);
  CHECK(text.segments(17).empty());
  CHECK_FALSE(text.assumed());
}

TEST_CASE("rows of unequal length are aligned at their right end", "[inject][plan]") {
  const plan texts = plan_of({{5}, {6, 7, 8}});
  CHECK(texts.size() == 3);
  const position_row& shorter = texts.positions.row(0, 0, 0);
  CHECK(shorter.key_count() == 1);
  CHECK(shorter.one_run_per_slot()[1].state.is_padding());
  CHECK(shorter.one_run_per_slot()[2] == position_run{0, 1, 1});
  CHECK(texts.positions.row(0, 1, 0) == position_row::consecutive(0, 3));
}

TEST_CASE("a plan needs rows, and tokens in each", "[inject][plan]") {
  CHECK_THROWS_AS(plan_of({}), shape_error);
  CHECK_THROWS_AS(plan_of({{5}, {}}), shape_error);
  CHECK_THROWS_AS(token_tensor({}, 0, at::kCPU), shape_error);
}

TEST_CASE("injected slots are counted over all segments of a layer", "[inject][plan]") {
  const known_cache known = known_cache_of(2, 5);
  plan text = plan_of({{1, 2}});
  const cache_view<> view = known.kv.view();
  text.layers = {{segment(view, 0), segment(view.slice(1, 3), 0)}, {segment(view, 1)}};
  CHECK(text.injected(0) == 7);
  CHECK(text.injected(1) == 5);
  CHECK(text.segments(1).size() == 1);
  CHECK_THROWS_AS(text.segments(2), shape_error);
  CHECK_THROWS_AS(text.injected(-1), shape_error);
  CHECK_THROWS_AS(segment(view, 2), shape_error);
}

TEST_CASE("a token tensor is padded on the left", "[inject][plan]") {
  const at::Tensor tokens = token_tensor({{5}, {6, 7, 8}}, -1, at::kCPU);
  CHECK(tokens.scalar_type() == at::kLong);
  CHECK(at::equal(tokens, at::tensor({-1, -1, 5, 6, 7, 8}, at::kLong).view({2, 3})));
}
