#include <ATen/ops/empty.h>

#include <optional>
#include <vector>

#include "kvtransfer/tensor/detail/copy_slots.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/layouts/ragged.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using layouts::slot_table;

namespace {

layouts::storage storage(std::int64_t rows, std::int64_t slots, std::optional<slot_table> table = std::nullopt) {
  return {at::empty({rows, 2, slots, 8}), table};
}

/// Whether the runs are these; torch prints vectors of anything, and would have to print runs.
bool are(const slot_runs& found, const std::vector<slot_run>& expected) { return found.runs == expected; }

}  // namespace

TEST_CASE("slots are matched by where each side keeps them", "[tensor][slot_runs]") {
  const slot_table blocks(2, 3, {{0, 0, 4, 1, 3}, {1, 1, 0, 0, 2}});
  CHECK(are(match_slots(storage(2, 3), storage(5, 4, blocks), "test"), {{0, 17, 3}, {3, -1, 1}, {4, 0, 2}}));
  CHECK(are(match_slots(storage(5, 4, blocks), storage(2, 3), "test"), {{17, 0, 3}, {0, 4, 2}}));
}

TEST_CASE("both sides may cut their rows as they like", "[tensor][slot_runs]") {
  const slot_table fours(1, 9, {{0, 0, 2, 0, 4}, {0, 4, 0, 0, 4}, {0, 8, 1, 0, 1}}, 4);
  const slot_table threes(1, 9, {{0, 1, 1, 0, 3}, {0, 4, 0, 0, 3}}, 3);
  CHECK(are(match_slots(storage(3, 4, fours), storage(2, 3, threes), "test"),
            {{8, -1, 1}, {9, 3, 3}, {0, 0, 3}, {3, -1, 1}, {4, -1, 1}}));
  CHECK(are(match_slots(storage(2, 3, threes), storage(3, 4, fours), "test"), {{3, 9, 3}, {0, 0, 3}}));
}

TEST_CASE("long runs are cut to share out the work", "[tensor][slot_runs]") {
  const slot_table ragged(1, 40, {{0, 0, 0, 5, 40}});
  CHECK(are(match_slots(storage(1, 40), storage(1, 50, ragged), "test"), {{0, 5, 16}, {16, 21, 16}, {32, 37, 8}}));
  CHECK(are(match_slots(storage(1, 40), storage(1, 50, slot_table(1, 40, {})), "test"),
            {{0, -1, 16}, {16, -1, 16}, {32, -1, 8}}));
}

TEST_CASE("strides alone need no runs", "[tensor][slot_runs]") {
  CHECK(match_slots(storage(2, 3), storage(2, 3), "test").like_to_like);
  CHECK_FALSE(match_slots(storage(0, 3), storage(0, 3, slot_table(0, 3, {})), "test").like_to_like);
}

TEST_CASE("runs go to a device as three columns", "[tensor][slot_runs]") {
  const at::Tensor list = slot_runs{false, {{4, -1, 2}, {0, 3, 1}}}.tensor(at::kCPU);
  CHECK(list.sizes() == at::IntArrayRef{2, 3});
  CHECK(host_integers(list[1], "test", "run") == std::vector<std::int64_t>{0, 3, 1});
  CHECK(slot_runs{false, {}}.tensor(at::kCPU).sizes() == at::IntArrayRef{0, 3});
}

TEST_CASE("slots that cannot be matched are refused", "[tensor][slot_runs]") {
  CHECK_THROWS_AS(match_slots(storage(2, 3), storage(2, 4), "test"), shape_error);
  const slot_table shared(2, 2, {{0, 0, 0, 0, 2}, {1, 0, 0, 0, 2}});
  CHECK_THROWS_AS(match_slots(storage(1, 2, shared), storage(2, 2), "test"), shape_error);
  CHECK_NOTHROW(match_slots(storage(2, 2), storage(1, 2, shared), "test"));
}
