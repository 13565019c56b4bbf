#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <tuple>

#include "kernels/decode/cached_attention.hpp"

namespace kvtransfer::kernels {

/// The operator's tensors; decode_attention.cpp describes each.
struct attention_tensors {
  at::Tensor q;
  at::Tensor prefix_keys;
  at::Tensor prefix_values;
  at::Tensor tail_keys;
  at::Tensor tail_values;
  at::Tensor sequences;
  at::Tensor lengths;
  at::Tensor prefix_lengths;
  at::Tensor ordinals;
  at::Tensor counts;
  std::optional<std::int64_t> window;
  double scale = 1;
  std::optional<double> softcap;

  /// All of them in the schema's order.
  [[nodiscard]] auto arguments() const {
    return std::tie(q, prefix_keys, prefix_values, tail_keys, tail_values, sequences, lengths, prefix_lengths, ordinals,
                    counts, window, scale, softcap);
  }
};

/// @param context what will be written, [rows, q_heads, head_dim], contiguous
/// @throws shape_error, value_error, device_error naming what does not fit
[[nodiscard]] cached_attention lower(const attention_tensors& tensors, const at::Tensor& context);

/// The operator on a GPU.
[[nodiscard]] at::Tensor decode_attention_on_cuda(const attention_tensors& tensors);

}  // namespace kvtransfer::kernels
