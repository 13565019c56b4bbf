#pragma once

#include <string_view>
#include <vector>

#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer {

/// The slots of all parts, one part after the other, each with the scales it has: nothing is quantized again, and a
/// shorter group may come to stand in the middle.
/// @param parts at least one
/// @throws shape_error, device_error where all but the number of slots differs; value_error where schemes do
[[nodiscard]] quantized_tensor concat(const std::vector<quantized_tensor>& parts, std::string_view where = "concat");

/// Likewise of two.
[[nodiscard]] quantized_tensor concat(const quantized_tensor& first, const quantized_tensor& second,
                                      std::string_view where = "concat");

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/quantized/detail/concat.ipp"  // IWYU pragma: export
#endif
