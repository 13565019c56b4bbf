#include "kvtransfer/rope/kernels/key_checks.hpp"

#include <c10/util/SmallVector.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/kernels/lower.hpp"

namespace kvtransfer::rope::kernels {
namespace {

/// True if two indices may reach the same element: some stride is smaller than what the smaller strides span.
bool overlaps_itself(const at::Tensor& key) {
  std::array<std::pair<std::int64_t, std::int64_t>, 4> axes;
  for (std::int64_t axis = 0; axis < 4; ++axis) {
    axes[axis] = {key.stride(axis), key.size(axis)};
  }
  std::ranges::sort(axes);
  std::int64_t span = 1;
  for (const auto& [stride, size] : axes) {
    if (size > 1 && stride < span) {
      return true;
    }
    span += (size - 1) * stride;
  }
  return false;
}

}  // namespace

void check_alike(at::TensorList keys) {
  if (keys.empty()) {
    fail<shape_error>("turn", "keys", "at least one layer", "none");
  }
  const at::Tensor& first = keys.front();
  if (first.dim() != 4) {
    fail<shape_error>("turn", "keys", "[batch, kv_heads, seq, head_dim]", fmt::format("[{}]", fmt::join(first.sizes(), ", ")));
  }
  if (!element_of(first.scalar_type()).has_value()) {
    fail<shape_error>("turn", "keys", "float, bfloat16, half, float8_e4m3fn or float8_e5m2", c10::toString(first.scalar_type()));
  }
  for (const at::Tensor& key : keys) {
    if (key.sizes() != first.sizes() || key.scalar_type() != first.scalar_type()) {
      fail<shape_error>("turn", "keys",
                        fmt::format("{} [{}] in every layer", c10::toString(first.scalar_type()), fmt::join(first.sizes(), ", ")),
                        fmt::format("{} [{}]", c10::toString(key.scalar_type()), fmt::join(key.sizes(), ", ")));
    }
    if (key.device() != first.device()) {
      fail<device_error>("turn", "keys", first.device().str() + " for every layer", key.device().str());
    }
  }
}

void check_writable(at::TensorList keys) {
  c10::SmallVector<const void*, 64> starts;
  for (const at::Tensor& key : keys) {
    if ((key.stride(3) != 1 && key.size(3) != 1) || overlaps_itself(key)) {
      fail<shape_error>("turn_", "keys", "contiguous head_dim and no two indices at one element",
                        fmt::format("strides [{}]", fmt::join(key.strides(), ", ")));
    }
    starts.push_back(key.const_data_ptr());
  }
  std::ranges::sort(starts);
  if (std::ranges::adjacent_find(starts) != starts.end()) {
    fail<shape_error>("turn_", "keys", "layers in different places", "the same storage twice");
  }
}

}  // namespace kvtransfer::rope::kernels
