#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>
#include <vector>

#include "kvtransfer/rope/detail/rotation_checks.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotation.hpp"

namespace kvtransfer::rope {

/// A rotation that fits the keys it was checked against, and how it will be carried out. Whoever has several rotations
/// to make checks all of them first, and so makes all or none; none is checked again.
struct checked_rotation {
  rope::rotation rotation;  ///< with four-dimensional positions
  options how;              ///< as asked for
  implementation used;      ///< never automatic
};

/// Which implementation a rotation of keys like `keys` under `specification` runs on.
/// @throws device_error where `how` asks for the fused kernel and there is none for these keys
[[nodiscard]] implementation implementation_used(const at::Tensor& keys, const options& how = {},
                                                 const rotary_specification& specification = {});

namespace detail {

/// `how_far` checked against keys like `sample`.
/// @param fused asks whether the fused kernel carries it out; asked where it rotates anything
template <class Fused>
[[nodiscard]] checked_rotation checked_with(const rotation& how_far, const at::Tensor& sample, const options& how,
                                            std::string_view where, Fused&& fused) {
  rotation rotation = checked(how_far, sample, how, where);
  const std::int64_t reach = farthest(rotation);
  require_exact_positions(reach, where);
  require<device_error>(reach <= kernel_position_limit || how.use != implementation::fused, where, "options.use",
                        formatted("another implementation for positions beyond {}", kernel_position_limit),
                        formatted("fused, {} from 0", reach));
  const bool near = reach <= kernel_position_limit;  // beyond, float64 angles are exact where the kernels' are not
  const bool by_kernel = rotation.geometry().rotates() && near && fused(rotation.geometry());
  return {std::move(rotation), how, by_kernel ? implementation::fused : implementation::reference};
}

/// `how_far` checked against keys like `sample`, to be carried out by the kernel `name` where it can.
[[nodiscard]] checked_rotation checked_for(const char* name, const rotation& how_far, const at::Tensor& sample,
                                           const options& how, std::string_view where);

/// Rotates by ATen, in place.
void rotate_by_reference_(const std::vector<at::Tensor>& layers, const checked_rotation& checked);

/// Rotates, in place, what is checked and not empty.
void rotate_by_(const checked_rotation& checked, const std::vector<at::Tensor>& layers);

/// @param valid bool `[batch, kv_heads or 1, seq]`: false for padding; undefined: all
/// @throws value_error where a key in fp8 would outgrow its type, so that nothing could bring it back
void require_in_fp8(const std::vector<at::Tensor>& layers, const checked_rotation& checked, const at::Tensor& valid,
                    std::string_view where);

}  // namespace detail

/// Throws what `rotate_keys_` would throw for these arguments and rotates nothing.
/// @return what `rotate_checked_keys_` takes for these layers
checked_rotation require_rotatable(const std::vector<at::Tensor>& layers, const rotation& how_far,
                                   const options& how = {}, std::string_view where = "rotate_keys_");

/// `rotate_keys_` for layers that `require_rotatable` has let through.
void rotate_checked_keys_(const std::vector<at::Tensor>& layers, const checked_rotation& checked);

/// Rotates the keys of every layer in place, in one call. Views and owners of a cache that these tensors belong to find
/// out, and refuse to read them as they stood.
/// @param layers each `[batch, kv_heads, seq, head_dim]`, strides without overlap; all of one shape, dtype and device
/// @param where the operation that errors name
/// @throws shape_error, frame_error, value_error, device_error on arguments that do not fit; value_error where a key in
/// fp8 would outgrow its type (to find out takes a look at the numbers). One in float16 becomes infinite, as it would
/// for the model that rotates it.
void rotate_keys_(const std::vector<at::Tensor>& layers, const rotation& how_far, const options& how = {},
                  std::string_view where = "rotate_keys_");

/// Rotated copies of the keys of every layer. Differentiable: the gradient rotates back by the same angle.
/// @param layers as for `rotate_keys_`; strides may overlap, since nothing is written
[[nodiscard]] std::vector<at::Tensor> rotate_keys(const std::vector<at::Tensor>& layers, const rotation& how_far,
                                                  const options& how = {}, std::string_view where = "rotate_keys");

/// Keys of one layer, rotated. Differentiable.
/// @param keys `[batch, kv_heads, seq, head_dim]`, floating, any strides
/// @throws as `rotate_keys`
[[nodiscard]] at::Tensor apply(const at::Tensor& keys, const rotation& how_far, const options& how = {},
                               std::string_view where = "apply");

/// `apply` in place. @throws as `rotate_keys_`
void apply_(const at::Tensor& keys, const rotation& how_far, const options& how = {},
            std::string_view where = "apply_");

}  // namespace kvtransfer::rope

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/rope/detail/rotate_keys.ipp"  // IWYU pragma: export
#endif
