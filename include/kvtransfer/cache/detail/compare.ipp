#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/cache/compare.hpp"
#include "kvtransfer/core/compiled.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE double cache_difference::largest() const {
  return worst([](const head_differences& heads) { return heads.largest; });
}

KVTRANSFER_INLINE double cache_difference::relative() const {
  return worst([](const head_differences& heads) { return heads.relative; });
}

}  // namespace kvtransfer

namespace kvtransfer::detail {

KVTRANSFER_INLINE head_differences differences(const at::Tensor& found, const at::Tensor& expected,
                                               const at::Tensor& valid) {
  const at::Tensor reference = expected.to(at::kDouble).where(valid, 0);
  const at::Tensor difference = found.to(at::kDouble).where(valid, 0).sub(reference);
  const std::vector<std::int64_t> but_heads = {0, 2, 3};
  const auto norm = [&](const at::Tensor& tensor) { return tensor.norm(2, but_heads); };
  const at::Tensor apart = norm(difference);
  const at::Tensor largest = difference.numel() == 0 ? apart : difference.abs().amax(but_heads);
  return {largest.to(at::kCPU), apart.where(apart.eq(0), apart.div(norm(reference))).to(at::kCPU)};
}

}  // namespace kvtransfer::detail
