#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/index.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/implementation.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/detail/slot_runs.hpp"
#include "kvtransfer/tensor/kernel_table.hpp"

namespace kvtransfer {

namespace detail {

/// Copies `runs` by ATen operations, slot by slot. Differentiable with respect to `from`.
inline void copy_by_index_(const at::Tensor& to, const at::Tensor& from, const slot_runs& runs) {
  std::vector<std::int64_t> to_places;
  std::vector<std::int64_t> from_places;
  std::vector<std::int64_t> zero_places;
  for (const slot_run& run : runs.runs) {
    for (std::int64_t i = 0; i < run.count; ++i) {
      if (run.from < 0) {
        zero_places.push_back(run.to + i);
      } else {
        to_places.push_back(run.to + i);
        from_places.push_back(run.from + i);
      }
    }
  }
  const auto index_of = [&](const std::vector<std::int64_t>& places, const at::Tensor& rows) {
    const at::Tensor list = integer_tensor(places, rows.device());
    return c10::List<std::optional<at::Tensor>>({list.floor_divide(rows.size(2)), list.remainder(rows.size(2))});
  };
  const at::Tensor written = to.transpose(1, 2);
  if (!to_places.empty()) {
    written.index_put_(index_of(to_places, to), at::index(from.transpose(1, 2), index_of(from_places, from)));
  }
  if (!zero_places.empty()) {
    written.index_put_(index_of(zero_places, to), at::zeros({}, to.options()));
  }
}

/// @throws shape_error, device_error unless slots of `from` can be written into `to`
inline void require_copyable(const at::Tensor& to, const at::Tensor& from, std::string_view where) {
  require_same_device(from, to, where, "destination");
  if (to.size(1) != from.size(1) || to.size(3) != from.size(3) || to.scalar_type() != from.scalar_type()) {
    fail<shape_error>(
        where, "destination",
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
  const auto is_tracked = [](const at::Tensor& rows) { return rows.requires_grad() && at::GradMode::is_enabled(); };
  const auto fits = [&](const at::Tensor& rows) {
    return rows.device() == to.front().device() && rows.element_size() <= 8;
  };
  const bool can = has_kernel("kvtransfer::copy_slots_", to.front().device()) &&
                   std::ranges::none_of(from, is_tracked) && std::ranges::all_of(to, fits);
  if (use == implementation::fused && !can) {
    fail<device_error>(
        where, "implementation",
        "the library kvtransfer_kernels with a kernel for the one device of all layers, and no gradient to keep",
        describe(to.front()));
  }
  return can;
}

inline void call_fused_copy(const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from,
                            const slot_runs& runs) {
  const auto list = runs.like_to_like ? std::nullopt : std::optional(runs.tensor(to.front().device()));
  kernels()->copy_slots_(to, from, list);
}

}  // namespace detail

/// Copies slots from storage to storage, one pass, the same runs in every layer. Differentiable with respect to `from`.
/// @param to `[rows, kv_heads, slots, head_dim]` per layer, any strides
/// @param from likewise, with rows and slots of its own
/// @throws shape_error, device_error where a layer's tensors do not go together; value_error where a gradient would be
/// lost
inline void copy_slots_(const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from, const slot_runs& runs,
                        implementation use = implementation::automatic, std::string_view where = "copy_slots_") {
  require<shape_error>(to.size() == from.size(), where, "layers", fmt::format("{}", from.size()),
                       fmt::format("{}", to.size()));
  for (std::size_t i = 0; i < to.size(); ++i) {
    detail::require_copyable(to[i], from[i], where);
  }
  if (detail::copies_fused(to, from, use, where)) {
    return detail::call_fused_copy(to, from, runs);
  }
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (runs.like_to_like) {
      to[i].copy_(from[i]);
    } else {
      detail::copy_by_index_(to[i], from[i], runs);
    }
  }
}

}  // namespace kvtransfer
