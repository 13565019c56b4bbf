#include "kernels/rope/key_checks.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kernels/rope/lower.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/detail/rotation_checks.hpp"

namespace kvtransfer::rope::kernels {

void check_alike(at::TensorList keys, std::string_view where) {
  require<shape_error>(!keys.empty(), where, "keys", "at least one layer", "none");
  const at::Tensor& first = keys.front();
  require<shape_error>(first.dim() == 4, where, "keys", "[batch, kv_heads, seq, head_dim]",
                       [&] { return described(first); });
  for (const at::Tensor& key : keys) {
    if (key.sizes() != first.sizes() || key.scalar_type() != first.scalar_type()) {
      fail<shape_error>(where, "keys", described(first) + " in every layer", described(key));
    }
    if (key.device() != first.device()) {
      fail<device_error>(where, "keys", first.device().str() + " for every layer", key.device().str());
    }
  }
}

void check_element_type(const at::Tensor& key, std::string_view where) {
  require<shape_error>(element_of(key.scalar_type()).has_value(), where, "keys",
                       "Float, BFloat16, Half, Float8_e4m3fn or Float8_e5m2", [&] { return described(key); });
}

void check_writable(at::TensorList keys, std::string_view where) {
  for (const at::Tensor& key : keys) {
    require<shape_error>((key.stride(3) == 1 || key.size(3) == 1) && !detail::may_overlap_itself(key), where, "keys",
                         "contiguous head_dim and no two indices at one element",
                         [&] { return fmt::format("strides [{}]", fmt::join(key.strides(), ", ")); });
  }
  detail::require_apart({keys.data(), keys.size()}, where);
}

}  // namespace kvtransfer::rope::kernels
