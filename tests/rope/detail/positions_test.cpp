#include "kvtransfer/rope/detail/positions.hpp"

#include <ATen/ops/zeros.h>

#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

at::Tensor int64_zeros(at::IntArrayRef sizes) { return at::zeros(sizes, at::TensorOptions().dtype(at::kLong)); }

}  // namespace

TEST_CASE("positions name all four axes", "[rope][positions]") {
  CHECK(rope::detail::positions_as_4d(int64_zeros({5}), "test", "positions").sizes() == at::IntArrayRef{1, 1, 1, 5});
  CHECK(rope::detail::positions_as_4d(int64_zeros({3, 2, 1, 5}), "test", "positions").size(0) == 3);
}

TEST_CASE("positions that do not fit the keys are refused", "[rope][positions]") {
  const cache_extents extents{.batch = 2, .kv_heads = 3, .seq = 5, .head_dim = 8};
  const auto refused = [&](const at::Tensor& positions, std::int64_t streams = 1) {
    CHECK_THROWS_AS(rope::detail::positions_for(positions, extents, streams, "test", "positions"), shape_error);
  };
  CHECK_NOTHROW(rope::detail::positions_for(int64_zeros({5}), extents, 1, "test", "positions"));
  CHECK_NOTHROW(rope::detail::positions_for(int64_zeros({1, 2, 3, 5}), extents, 3, "test", "positions"));
  refused(int64_zeros({4}));
  refused(int64_zeros({1}));
  refused(int64_zeros({2, 5}));
  refused(int64_zeros({1, 3, 1, 5}));
  refused(int64_zeros({1, 1, 2, 5}));
  refused(int64_zeros({2, 1, 1, 5}), 3);
  refused(int64_zeros({5}).to(at::kInt));
  refused(at::Tensor());
}

}  // namespace kvtransfer::test
