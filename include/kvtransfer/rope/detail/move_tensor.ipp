#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/rope/move_tensor.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::rope {

KVTRANSFER_INLINE at::Tensor rotate(const at::Tensor& keys, const at::Tensor& positions,
                                    const rotary_specification& specification, const options& how) {
  return apply(keys, rotation::rotate(positions, specification), how, "rotate");
}

KVTRANSFER_INLINE void rotate_(const at::Tensor& keys, const at::Tensor& positions,
                               const rotary_specification& specification, const options& how) {
  apply_(keys, rotation::rotate(positions, specification), how, "rotate_");
}

KVTRANSFER_INLINE at::Tensor unrotate(const at::Tensor& keys, const at::Tensor& positions,
                                      const rotary_specification& specification, const options& how) {
  return apply(keys, rotation::unrotate(positions, specification), how, "unrotate");
}

KVTRANSFER_INLINE void unrotate_(const at::Tensor& keys, const at::Tensor& positions,
                                 const rotary_specification& specification, const options& how) {
  apply_(keys, rotation::unrotate(positions, specification), how, "unrotate_");
}

KVTRANSFER_INLINE at::Tensor shift(const at::Tensor& keys, std::int64_t delta,
                                   const rotary_specification& specification, const options& how) {
  return apply(keys, rotation::shift(delta, specification), how, "shift");
}

KVTRANSFER_INLINE void shift_(const at::Tensor& keys, std::int64_t delta, const rotary_specification& specification,
                              const options& how) {
  apply_(keys, rotation::shift(delta, specification), how, "shift_");
}

KVTRANSFER_INLINE at::Tensor remap(const at::Tensor& keys, const at::Tensor& from, const at::Tensor& to,
                                   const rotary_specification& specification, const options& how) {
  return apply(keys, rotation::remap(from, to, specification), how, "remap");
}

KVTRANSFER_INLINE void remap_(const at::Tensor& keys, const at::Tensor& from, const at::Tensor& to,
                              const rotary_specification& specification, const options& how) {
  apply_(keys, rotation::remap(from, to, specification), how, "remap_");
}

KVTRANSFER_INLINE at::Tensor reframe(const at::Tensor& keys, const at::Tensor& from,
                                     const rotary_specification& from_specification, const at::Tensor& to,
                                     const rotary_specification& to_specification, const options& how) {
  return apply(keys, rotation::reframe(from, from_specification, to, to_specification), how, "reframe");
}

KVTRANSFER_INLINE void reframe_(const at::Tensor& keys, const at::Tensor& from,
                                const rotary_specification& from_specification, const at::Tensor& to,
                                const rotary_specification& to_specification, const options& how) {
  apply_(keys, rotation::reframe(from, from_specification, to, to_specification), how, "reframe_");
}

}  // namespace kvtransfer::rope
