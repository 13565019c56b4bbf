#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/cache/slot_choice.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer {

namespace detail {

/// The marked slots of every row of `kept`, as many as the fullest row has, behind -1 where a row has fewer.
/// @param kept bool, at least one axis, the last of them slots
[[nodiscard]] inline slot_choice marked_slots(const at::Tensor& kept) {
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

}  // namespace detail

/// A new cache with the slots that are marked, in their order; nothing is moved. Rows and heads with fewer of them are
/// padded on the left, as texts are in a plan.
/// @param kept bool `[seq]`, `[batch, seq]` or `[batch, kv_heads, seq]`, any device
/// @throws shape_error for any other tensor
template <LayerLayout Layout>
[[nodiscard]] cache select_tokens(const cache_view<Layout>& source, const at::Tensor& kept) {
  require<shape_error>(kept.defined() && kept.scalar_type() == at::kBool && kept.dim() >= 1 && kept.dim() <= 3 &&
                           kept.size(-1) == source.size(),
                       "select_tokens", "kept",
                       formatted("bool [seq={0}], [batch, {0}] or [batch, kv_heads, {0}]", source.size()),
                       [&] { return describe(kept); });
  return gather(source, detail::marked_slots(kept));
}

}  // namespace kvtransfer
