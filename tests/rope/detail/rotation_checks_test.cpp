#include "kvtransfer/rope/detail/rotation_checks.hpp"

#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("only strides that reach each element once pass as free of overlap", "[rope][rotation_checks]") {
  const at::Tensor keys = random_keys({2, 3, 5, 8});
  CHECK_FALSE(rope::detail::may_overlap_itself(keys));
  CHECK_FALSE(rope::detail::may_overlap_itself(keys.transpose(1, 3)));
  CHECK_FALSE(rope::detail::may_overlap_itself(keys.slice(2, 0, 5, 2)));
  CHECK_FALSE(rope::detail::may_overlap_itself(keys.narrow(1, 0, 1).as_strided({2, 1, 5, 8}, {120, 0, 8, 1})));
  CHECK(rope::detail::may_overlap_itself(keys.narrow(0, 0, 1).expand({2, 3, 5, 8})));
  CHECK(rope::detail::may_overlap_itself(keys.view({-1}).unfold(0, 8, 1)));
}

TEST_CASE("layers that interleave in one tensor are apart, layers that overlap are not", "[rope][rotation_checks]") {
  const at::Tensor all = random_keys({2, 4, 3, 5, 8});
  CHECK_NOTHROW(rope::detail::require_apart({all.select(1, 0), all.select(1, 2), all.select(1, 1)}, "test"));
  CHECK_NOTHROW(rope::detail::require_apart({all.select(0, 1), all.select(0, 0)}, "test"));
  CHECK_THROWS_AS(rope::detail::require_apart({all.select(1, 0), all.select(1, 1), all.select(1, 0)}, "test"),
                  shape_error);
  CHECK_THROWS_AS(rope::detail::require_apart({all[0].narrow(0, 0, 3), all[0].narrow(0, 1, 3)}, "test"), shape_error);
}

}  // namespace kvtransfer::test
