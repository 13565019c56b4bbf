#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace kvtransfer {

/// The scales of an NF4 matrix in 8 bits, blocks of them with scales of their own:
/// absmax = quant_map[byte] · absmax of its block + offset.
struct nf4_nested_scales {
  at::Tensor absmax;              ///< fp32 [⌈blocks / block_size⌉]
  at::Tensor quant_map;           ///< fp32 [256], ascending
  at::Tensor offset;              ///< fp32 []
  std::int64_t block_size = 256;  ///< scales that share one, neighbours
};

/// A matrix in bitsandbytes' NF4: each element is one of 16 values times the scale of its block, the largest magnitude
/// there. Blocks run through the matrix row by row, over the ends of rows.
/// Source: bitsandbytes, functional.quantize_4bit and dequantize_4bit on the same device.
struct nf4_matrix {
  at::Tensor codes;   ///< uint8 [⌈out · in / 2⌉, 1], two elements a byte, the first in the high half
  at::Tensor absmax;  ///< fp32 [blocks]; uint8 with nested scales
  std::optional<nf4_nested_scales> nested = {};  ///< nothing: `absmax` is fp32 already
  std::vector<std::int64_t> shape = {};          ///< [out, in]
  at::ScalarType dtype = at::kFloat;             ///< what the matrix had, and what its values are rounded to
  std::int64_t block_size = 64;                  ///< elements
  /// What products are computed in, activations and biases converted to it and results back; nothing: in what
  /// activations have. Source: bitsandbytes, Linear4bit.forward, whose compute_dtype it is.
  std::optional<at::ScalarType> compute_dtype = {};
};

/// The 16 values, fp32 [16], ascending: quantiles of a normal distribution scaled to [-1, 1].
/// Source: QLoRA (arXiv 2305.14314), appendix E.
[[nodiscard]] at::Tensor nf4_quant_map();

/// Quantizes a matrix where it lies.
/// @param dense [out, in], float32, float16 or bfloat16, finite
/// @param nested_scales keeps the scales in 8 bits (bitsandbytes' double quantization)
/// @throws value_error for another dtype, or numbers that are not finite
[[nodiscard]] nf4_matrix quantize_nf4(const at::Tensor& dense, bool nested_scales = false);

/// The scales fp32 [blocks], nested or not.
[[nodiscard]] at::Tensor nf4_scales(const nf4_matrix& matrix);

/// The matrix's values [out, in], in its dtype: products in fp32, then rounded.
[[nodiscard]] at::Tensor dequantize_nf4(const nf4_matrix& matrix);

}  // namespace kvtransfer
