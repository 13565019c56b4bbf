#include "kvtransfer/project/detail/slot_window.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/core/position_row.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

at::Tensor slots(std::vector<std::int64_t> values) { return at::tensor(values, at::kLong).unsqueeze(0); }

}  // namespace

TEST_CASE("a window goes back to the first key, and over padding", "[project]") {
  position_row row = position_row::consecutive(0, 2, slot_state::padding());
  row.append(position_row::consecutive(0, 2));
  row.append(position_row::consecutive(0, 1, slot_state::padding()));
  row.append(position_row::consecutive(2, 2));
  const auto window = detail::slot_window(position_map(row, 1), 3, at::kCPU);
  REQUIRE(window.size() == 3);
  const at::Tensor held = slots({2, 3, 5, 6});
  CHECK(at::equal(window[0].index_select(1, held[0]), held));
  CHECK(at::equal(window[1].index_select(1, held[0]), slots({2, 2, 3, 5})));
  CHECK(at::equal(window[2].index_select(1, held[0]), slots({2, 2, 2, 3})));
}

TEST_CASE("a window's tensors are those of its slots", "[project]") {
  const at::Tensor keys = at::arange(2 * 3 * 4 * 4).reshape({2, 3, 4, 4});
  const layer_frame frame{position_map::consecutive(7, 4, 2), {plain_specification(4)}};
  const auto read = detail::windowed({keys, keys.mul(-1)}, &frame, 2);
  REQUIRE(read.size() == 2);
  CHECK(at::equal(read[0].keys, keys));
  CHECK(at::equal(read[1].keys.slice(2, 1), keys.slice(2, 0, 3)));
  CHECK(at::equal(read[1].keys.select(2, 0), keys.select(2, 0)));
  CHECK(at::equal(read[1].values, read[1].keys.mul(-1)));
}
