#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/operations.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"
#include "kvtransfer/tensor/quantized/slice.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE quantized_tensor slice(const quantized_tensor& source, std::int64_t begin, std::int64_t end) {
  const std::int64_t seq = source.extents().seq;
  require_range<shape_error>(begin, end, seq, "slice", "slots");
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

KVTRANSFER_INLINE quantized_tensor split_groups_at(const quantized_tensor& source, std::int64_t slot) {
  if (!source.scheme.is_per_channel() || source.groups.has_cut(slot)) {
    return source;
  }
  const std::int64_t before = source.groups.begun_before(slot);
  const std::int64_t all = source.groups.count();
  quantized_tensor split = source.transform([&](const at::Tensor& tensor) {
    return tensor.is_same(source.codes)
               ? tensor
               : detail::joined({tensor.narrow(2, 0, before), tensor.narrow(2, before - 1, all - before + 1)}, 2);
  });
  split.groups = source.groups.slice(0, slot).followed_by(source.groups.slice(slot, source.groups.size()));
  return split;
}

}  // namespace kvtransfer
