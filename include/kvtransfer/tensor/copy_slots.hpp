#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/index.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/implementation.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/fused_kernel.hpp"
#include "kvtransfer/tensor/slot_pairs.hpp"

namespace kvtransfer {

namespace detail {

/// The index that finds `places` in a storage seen as `[rows, slots, kv_heads, head_dim]`.
inline c10::List<std::optional<at::Tensor>> index_of(const at::Tensor& places, std::int64_t slots) {
  const at::Tensor inside = places.clamp_min(0);
  c10::List<std::optional<at::Tensor>> index;
  index.push_back(inside.floor_divide(slots));
  index.push_back(inside.remainder(slots));
  return index;
}

/// The slots at `places` of `rows` as `[n, kv_heads, head_dim]`, zeros for -1. Differentiable.
/// @param rows `[rows, kv_heads, slots, head_dim]`
inline at::Tensor slots_at(const at::Tensor& rows, const at::Tensor& places, bool complete) {
  const at::Tensor found = at::index(rows.transpose(1, 2), index_of(places, rows.size(2)));
  return complete ? found : found.masked_fill((places < 0).view({-1, 1, 1}), 0);
}

/// @throws shape_error, device_error unless slots of `from` can be written into `to`
inline void require_copyable(const at::Tensor& to, const at::Tensor& from, std::string_view where) {
  require_same_device(from, to, where, "destination");
  if (to.size(1) != from.size(1) || to.size(3) != from.size(3) || to.scalar_type() != from.scalar_type()) {
    fail<shape_error>(where, "destination",
                      fmt::format("kv_heads={}, head_dim={}, {}", from.size(1), from.size(3), c10::toString(from.scalar_type())),
                      describe(to));
  }
  if (to.requires_grad()) {
    fail<value_error>(where, "destination", "no gradient for a write in place", "requires_grad");
  }
}

/// Whether the fused kernel copies the slots of these tensors.
/// @throws device_error where `use` asks for it and there is none that can
inline bool copies_fused(const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from, implementation use,
                         std::string_view where) {
  if (use == implementation::reference || to.empty()) {
    return false;
  }
  const auto readable = [](const at::Tensor& rows) {
    return (rows.stride(3) == 1 || rows.size(3) == 1) && !(rows.requires_grad() && at::GradMode::is_enabled());
  };
  const bool can = has_kernel("kvtransfer::copy_slots_", to.front().device()) && std::ranges::all_of(to, readable) &&
                   std::ranges::all_of(from, readable);
  if (use == implementation::fused && !can) {
    fail<device_error>(where, "implementation",
                       "the library kvtransfer_kernels with a kernel for the device, heads whose elements lie side by side, no gradient",
                       describe(to.front()));
  }
  return can;
}

inline void call_fused_copy(const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from, const slot_pairs& pairs) {
  using optional_tensor = std::optional<at::Tensor>;
  using signature = void(at::TensorList, at::TensorList, const optional_tensor&, const optional_tensor&);
  const auto list = [&](const at::Tensor& places) { return pairs.is_identity() ? std::nullopt : optional_tensor(places); };
  find_kernel("kvtransfer::copy_slots_")->typed<signature>().call(to, from, list(pairs.to), list(pairs.from));
}

}  // namespace detail

/// Copies slots from storage to storage, one pass, the same pairs in every layer. Differentiable with respect to `from`.
/// @param to `[rows, kv_heads, slots, head_dim]` per layer, any strides
/// @param from likewise, with rows and slots of its own
/// @param pairs on the device of the tensors
/// @throws shape_error, device_error where a layer's tensors do not go together; value_error where a gradient would be lost
inline void copy_slots_(const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from, const slot_pairs& pairs,
                        implementation use = implementation::automatic, std::string_view where = "copy_slots_") {
  require<shape_error>(to.size() == from.size(), where, "layers", fmt::format("{}", from.size()),
                       fmt::format("{}", to.size()));
  for (std::size_t i = 0; i < to.size(); ++i) {
    detail::require_copyable(to[i], from[i], where);
  }
  if (detail::copies_fused(to, from, use, where)) {
    return detail::call_fused_copy(to, from, pairs);
  }
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (pairs.is_identity()) {
      to[i].copy_(from[i]);
    } else {
      to[i].transpose(1, 2).index_put_(detail::index_of(pairs.to, to[i].size(2)),
                                       detail::slots_at(from[i], pairs.from, pairs.complete));
    }
  }
}

}  // namespace kvtransfer
