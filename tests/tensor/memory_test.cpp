#include "kvtransfer/tensor/memory.hpp"

#include <ATen/ops/zeros.h>

#include <utility>
#include <vector>

#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("a tensor's memory reaches from its first element to its last", "[tensor][memory]") {
  const at::Tensor all = at::zeros({4, 6}, at::kFloat);
  const auto begin = reinterpret_cast<std::uintptr_t>(all.const_data_ptr());
  CHECK((memory_of(all) == memory_range{begin, begin + 96}));
  CHECK((memory_of(all.t()) == memory_of(all)));
  CHECK((memory_of(all[1]) == memory_range{begin + 24, begin + 48}));
  CHECK((memory_of(all.narrow(1, 2, 1)) == memory_range{begin + 8, begin + 84}));
  CHECK((memory_of(all[0].expand({3, 6})) == memory_range{begin, begin + 24}));
  CHECK((memory_of(all.narrow(0, 0, 0)) == memory_range{}));
}

TEST_CASE("tensors share an element only where both have it", "[tensor][memory]") {
  using kvtransfer::detail::share_elements;
  const at::Tensor all = at::zeros({4, 3, 6, 8});
  CHECK(share_elements(all, all));
  CHECK(share_elements(all.narrow(2, 0, 3), all.narrow(2, 2, 3)));
  CHECK_FALSE(share_elements(all.narrow(2, 0, 3), all.narrow(2, 3, 3)));
  CHECK_FALSE(share_elements(all.narrow(3, 0, 4), all.narrow(3, 4, 4)));
  CHECK(share_elements(all.narrow(3, 0, 5), all.narrow(3, 4, 4)));
  CHECK_FALSE(share_elements(all.select(1, 0), all.select(1, 2)));
  CHECK_FALSE(share_elements(all, at::zeros({4, 3, 6, 8})));
  CHECK(share_elements(all, all.transpose(1, 2)));
  CHECK_FALSE(share_elements(all.narrow(0, 0, 0), all));
  CHECK_FALSE(share_elements(all.slice(2, 0, 6, 2), all.slice(2, 1, 6, 2)));
  CHECK(share_elements(all.slice(2, 0, 6, 2), all.slice(2, 0, 6, 4)));
  // Other strides, and an axis of one index whose stride says nothing.
  CHECK_FALSE(share_elements(all.slice(3, 0, 8, 2), all.slice(3, 1, 8, 4)));
  CHECK_FALSE(share_elements(all.select(2, 0).as_strided({1, 3, 8}, {7, 48, 1}), all.select(2, 1).narrow(0, 0, 1)));
  // Another type: bytes count.
  CHECK(share_elements(all, all.view(at::kDouble)));
  CHECK_FALSE(share_elements(all.narrow(3, 0, 2), all.view(at::kDouble).narrow(3, 1, 1)));
}

TEST_CASE("every two tensors that overlap are found, whatever lies between them", "[tensor][memory]") {
  const at::Tensor all = at::zeros({1, 2, 9, 8});
  const std::vector<at::Tensor> tensors{all.slice(2, 2, 8, 2), all.slice(2, 1, 7, 2), all.slice(2, 0, 6, 2),
                                        at::zeros({1, 2, 3, 8})};
  std::vector<std::pair<std::size_t, std::size_t>> found;
  kvtransfer::detail::for_each_overlap(tensors, [&](std::size_t a, std::size_t b) { found.emplace_back(a, b); });
  CHECK((found == std::vector<std::pair<std::size_t, std::size_t>>{{2, 0}}));
}

TEST_CASE("only strides that reach each element once pass as free of overlap", "[tensor][memory]") {
  using kvtransfer::detail::may_overlap_itself;
  const at::Tensor keys = at::zeros({2, 3, 5, 8});
  CHECK_FALSE(may_overlap_itself(keys));
  CHECK_FALSE(may_overlap_itself(keys.transpose(1, 3)));
  CHECK_FALSE(may_overlap_itself(keys.slice(2, 0, 5, 2)));
  CHECK_FALSE(may_overlap_itself(keys.narrow(1, 0, 1).as_strided({2, 1, 5, 8}, {120, 0, 8, 1})));
  CHECK(may_overlap_itself(keys.narrow(0, 0, 1).expand({2, 3, 5, 8})));
  CHECK(may_overlap_itself(keys.view({-1}).unfold(0, 8, 1)));
}
