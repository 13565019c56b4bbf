#pragma once

#include <cstddef>
#include <span>

#include "kvtransfer/model/weights/gguf_tensor_type.hpp"

namespace kvtransfer::detail {

/// Brings blocks back as floats, equal to the bit to what the `gguf` package makes of them; a NaN is some NaN.
///
/// Its source is compiled without contraction: a product that is rounded and one that flows unrounded into a sum
/// differ.
/// @param blocks whole blocks
/// @param elements as many as the blocks have
/// @throws value_error for a type that is not readable
/// Source: the `gguf` package, quants.py, `dequantize`.
void dequantize(gguf_tensor_type type, std::span<const std::byte> blocks, std::span<float> elements);

}  // namespace kvtransfer::detail
