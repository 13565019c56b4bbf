#include "kvtransfer/rope/turn_rows.hpp"

#include <ATen/ops/equal.h>

#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("only the rows meant are turned, scattered or side by side", "[rope][turn_rows]") {
  const rotary_specification specification = plain_specification(8);
  for (const std::vector<std::int64_t>& rows : {std::vector<std::int64_t>{1, 2}, {0, 2, 3}, {}}) {
    const at::Tensor p = random_positions({1, 3, 1, 4}).narrow(1, 0, static_cast<std::int64_t>(rows.size()));
    const rope::turning turn{p, p + 17, 0, specification, specification};
    at::Tensor storage = random_keys({4, 2, 4, 8});
    at::Tensor expected = storage.clone();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const at::Tensor position = p.narrow(1, static_cast<std::int64_t>(i), 1);
      rope::turn_({expected.narrow(0, rows[i], 1)}, {position, position + 17, 0, specification, specification});
    }
    rope::turn_rows_({storage}, rows, turn);
    CHECK(at::equal(storage, expected));
  }
}

TEST_CASE("rows out of order or out of range are refused", "[rope][turn_rows][misuse]") {
  const rope::turning turn{.delta = 1, .to_specification = plain_specification(8)};
  const at::Tensor storage = random_keys({4, 2, 4, 8});
  CHECK_THROWS_AS(rope::turn_rows_({storage}, {2, 1}, turn), shape_error);
  CHECK_THROWS_AS(rope::turn_rows_({storage}, {1, 1}, turn), shape_error);
  CHECK_THROWS_AS(rope::turn_rows_({storage}, {-1}, turn), shape_error);
  CHECK_THROWS_AS(rope::turn_rows_({storage}, {4}, turn), shape_error);
}

TEST_CASE("what cannot be turned is known before anything is turned", "[rope][turn_rows][misuse]") {
  const rotary_specification specification = plain_specification(8);
  const at::Tensor storage = random_keys({4, 2, 4, 8});
  const at::Tensor before = storage.clone();
  const at::Tensor p = random_positions({1, 3, 1, 4});
  CHECK_THROWS_AS(rope::require_rows_turnable({storage}, {0, 1}, {p, p, 0, specification, specification}), shape_error);
  CHECK_NOTHROW(rope::require_rows_turnable({storage}, {0, 1, 3}, {p, p + 1, 0, specification, specification}));
  CHECK(at::equal(storage, before));
}

}  // namespace kvtransfer::test
