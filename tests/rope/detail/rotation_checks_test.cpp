#include "kvtransfer/rope/detail/rotation_checks.hpp"

#include <vector>

#include "kvtransfer/rope/rotate_keys.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("layers that interleave in one tensor are apart, layers that overlap are not", "[rope][rotation_checks]") {
  const auto require_apart = [](const std::vector<at::Tensor>& layers) { rope::detail::require_apart(layers, "test"); };
  const at::Tensor all = random_keys({2, 4, 3, 5, 8});
  CHECK_NOTHROW(require_apart({all.select(1, 0), all.select(1, 2), all.select(1, 1)}));
  CHECK_NOTHROW(require_apart({all.select(0, 1), all.select(0, 0)}));
  CHECK_THROWS_AS(require_apart({all.select(1, 0), all.select(1, 1), all.select(1, 0)}), shape_error);
  CHECK_THROWS_AS(require_apart({all[0].narrow(0, 0, 3), all[0].narrow(0, 1, 3)}), shape_error);
  // Neither overlaps with the one that lies between them in memory.
  const at::Tensor slots = random_keys({2, 3, 9, 8});
  CHECK_THROWS_AS(require_apart({slots.slice(2, 0, 6, 2), slots.slice(2, 1, 7, 2), slots.slice(2, 2, 8, 2)}),
                  shape_error);
}

TEST_CASE("positions reach as far as their caller says, where they do not lie on the host", "[rope][rotation_checks]") {
  rope::rotation far = rope::rotation::rotate(random_positions({5}, 100), plain_specification(8));
  CHECK(rope::detail::farthest(far) < 100);
  far.reach = std::int64_t{1} << 33;
  CHECK(rope::detail::farthest(far) == std::int64_t{1} << 33);
  CHECK_THROWS_AS(rope::apply(random_keys({1, 1, 5, 8}), far), value_error);
}

}  // namespace kvtransfer::test
