#include <ATen/ops/tensor.h>

#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/layouts/ragged.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using layouts::cumulative_slots;

TEST_CASE("cumulative lengths say where each sequence begins", "[tensor][layouts][cumulative_slots]") {
  for (const at::ScalarType dtype : {at::kInt, at::kLong}) {
    const layouts::slot_table table = cumulative_slots(at::tensor({0, 2, 2, 5}, dtype));
    CHECK(table.batch() == 3);
    CHECK(table.seq() == 3);
    CHECK(table.places(5) == std::vector<std::int64_t>{0, 1, -1, -1, -1, -1, 2, 3, 4});
  }
  CHECK(cumulative_slots(at::tensor({4, 6}, at::kInt)).places(6) == std::vector<std::int64_t>{4, 5});
}

TEST_CASE("keys behind padding are stored end to end too", "[tensor][layouts][cumulative_slots]") {
  position_row first = position_row::consecutive(0, 2, slot_state::padding());
  first.append({7, 2, 1});
  const layouts::slot_table table = cumulative_slots(position_map(1, 2, 1, {first, position_row::consecutive(0, 4)}));
  CHECK(table.places(6) == std::vector<std::int64_t>{-1, -1, 0, 1, 2, 3, 4, 5});
}

TEST_CASE("lengths that fall, or are none, are refused", "[tensor][layouts][cumulative_slots]") {
  CHECK_THROWS_AS(cumulative_slots(at::tensor({0, 3, 2}, at::kInt)), shape_error);
  CHECK_THROWS_AS(cumulative_slots(at::tensor({-1, 3}, at::kInt)), shape_error);
  CHECK_THROWS_AS(cumulative_slots(at::tensor(std::vector<std::int64_t>{}, at::kLong)), shape_error);
  CHECK_THROWS_AS(cumulative_slots(at::tensor({0.0, 3.0}, at::kFloat)), shape_error);
}
