#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kvtransfer/cache/select_tokens.hpp"
#include "kvtransfer/cache/slot_choice.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE slot_choice marked_slots(const at::Tensor& kept) {
  const at::Tensor host = kept.to(at::kCPU).contiguous();
  const std::int64_t seq = host.size(-1);
  const std::int64_t rows = seq == 0 ? 0 : host.numel() / seq;
  const bool* marks = host.const_data_ptr<bool>();
  std::int64_t most = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    most = std::max<std::int64_t>(most, std::count(marks + row * seq, marks + (row + 1) * seq, true));
  }
  std::vector<std::int64_t> shape = host.sizes().vec();
  shape.back() = most;
  at::Tensor slots = new_tensor(shape, at::kLong).fill_(-1);
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t* out = slots.mutable_data_ptr<std::int64_t>() + (row + 1) * most;
    for (std::int64_t slot = seq - 1; slot >= 0; --slot) {
      if (marks[row * seq + slot]) {
        *--out = slot;
      }
    }
  }
  return slot_choice(slots);
}

}  // namespace kvtransfer::detail
