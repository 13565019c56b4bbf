#pragma once

#include <cstdint>

#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer {

/// The slots [begin, end), sharing storage. A group that is cut keeps its scale: nothing is quantized again.
/// @throws shape_error unless 0 <= begin <= end <= seq
[[nodiscard]] quantized_tensor slice(const quantized_tensor& source, std::int64_t begin, std::int64_t end);

/// The same codes with a group that begins at `slot`: where one reaches across, both parts keep its scale, and what is
/// written to one no longer concerns the other. Codes are shared, scales copied where a group is cut.
/// @throws shape_error unless 0 <= slot <= seq
[[nodiscard]] quantized_tensor split_groups_at(const quantized_tensor& source, std::int64_t slot);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/quantized/detail/slice.ipp"  // IWYU pragma: export
#endif
