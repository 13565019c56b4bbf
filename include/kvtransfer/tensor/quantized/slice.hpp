#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer {

/// The slots [begin, end), sharing storage. A group that is cut keeps its scale: nothing is quantized again.
/// @throws shape_error unless 0 <= begin <= end <= seq
inline quantized_tensor slice(const quantized_tensor& source, std::int64_t begin, std::int64_t end) {
  const std::int64_t seq = source.extents().seq;
  if (begin < 0 || begin > end || end > seq) {
    fail<shape_error>("slice", "slots", fmt::format("0 <= begin <= end <= {}", seq),
                      fmt::format("[{}, {})", begin, end));
  }
  quantized_tensor part = source;
  std::int64_t row = begin;
  std::int64_t rows = end - begin;
  if (source.scheme.is_per_channel()) {
    part.groups = source.groups.slice(begin, end);
    rows = part.groups.count();
    row = rows == 0 ? 0 : source.groups.begun_before(begin + 1) - 1;
  }
  part = part.transform(
      [&](const at::Tensor& tensor) { return tensor.is_same(source.codes) ? tensor : tensor.narrow(2, row, rows); });
  part.codes = source.codes.narrow(2, begin, end - begin);
  return part;
}

}  // namespace kvtransfer
