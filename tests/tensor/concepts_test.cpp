#include "kvtransfer/tensor/concepts.hpp"

#include <ATen/ops/equal.h>

#include "kvtransfer/cache/cache.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// `[seq, batch, kv_heads, head_dim]`, as some engines keep their caches.
struct sequence_first {
  static constexpr std::string_view name = "sequence_first";
  static constexpr std::string_view axes = "[seq, batch, kv_heads, head_dim]";
  at::Tensor view(const at::Tensor& tensor) const { return tensor.permute({1, 2, 0, 3}); }
  at::Tensor arrange(const at::Tensor& canonical) const { return canonical.permute({2, 0, 1, 3}); }
};

}  // namespace

TEST_CASE("a layout of somebody's own works as the library's do", "[tensor][concepts]") {
  const at::Tensor tensor = random_keys({5, 1, 2, 8});
  const cache_view<sequence_first> view({tensor}, {tensor},
                                        cache_frame(1, {position_map::consecutive(0, 5), {plain_specification(8)}}));
  CHECK(view.layer(0).extents() == cache_extents{1, 2, 5, 8});
  CHECK(at::equal(view.slice(1, 3).layer(0).keys(), tensor.permute({1, 2, 0, 3}).slice(2, 1, 3)));
  CHECK(at::equal(cache(view).view().layer(0).keys(), tensor.permute({1, 2, 0, 3})));
}
