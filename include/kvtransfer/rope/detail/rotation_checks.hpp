#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/detail/positions.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/memory.hpp"

namespace kvtransfer::rope::detail {

using kvtransfer::detail::may_overlap_itself;

/// @throws shape_error where two of the layers share memory; layers that interleave, as slices of one tensor do, are
/// let through
inline void require_apart(std::span<const at::Tensor> layers, std::string_view where) {
  kvtransfer::detail::for_each_overlap(layers, [&](std::size_t first, std::size_t second) {
    fail<shape_error>(where, "keys", "layers that share no memory",
                      fmt::format("layers {} and {} that overlap", std::min(first, second), std::max(first, second)));
  });
}

/// @throws shape_error where writing one key would change another, value_error where a gradient would be lost
inline void require_writable(const std::vector<at::Tensor>& layers, std::string_view where) {
  for (const at::Tensor& keys : layers) {
    require<value_error>(!keys.requires_grad(), where, "keys",
                         "no gradient for a move in place (use the form that returns a tensor)", "requires_grad");
    if (keys.numel() > 0 && may_overlap_itself(keys)) {
      fail<shape_error>(where, "keys", "strides that reach each element once",
                        fmt::format("strides [{}]", fmt::join(keys.strides(), ", ")));
    }
  }
  if (layers.front().numel() > 0) {
    require_apart(layers, where);
  }
}

/// @throws shape_error, device_error unless every layer has the first one's extents, dtype and device
inline void require_alike(const std::vector<at::Tensor>& layers, std::string_view where) {
  require<shape_error>(!layers.empty(), where, "keys", "at least one layer", "none");
  for (const at::Tensor& keys : layers) {
    require_heads_tensor(keys, where, "keys");
    const at::ScalarType dtype = keys.scalar_type();
    require<shape_error>(dtype == at::kFloat || dtype == at::kDouble || dtype == at::kHalf || dtype == at::kBFloat16 ||
                             dtype == at::kFloat8_e4m3fn || dtype == at::kFloat8_e5m2,
                         where, "keys", "float64, float32, float16, bfloat16, float8_e4m3fn or float8_e5m2",
                         [&] { return describe(keys); });
    require_same_device(layers.front(), keys, where, "keys");
    if (keys.sizes() != layers.front().sizes() || dtype != layers.front().scalar_type()) {
      fail<shape_error>(where, "keys", describe(layers.front()), describe(keys));
    }
  }
}

/// @throws frame_error unless both sides of `rotation` rotate the same elements in the same pairs
inline void require_same_geometry(const rotation& rotation, std::string_view where) {
  const rotary_specification& from = rotation.from_specification;
  const rotary_specification& to = rotation.to_specification;
  require<frame_error>(from.rotary_dim() == to.rotary_dim() && from.window_offset == to.window_offset &&
                           from.pairing == to.pairing && from.stream_of == to.stream_of &&
                           from.normed_after_rotation == to.normed_after_rotation,
                       where, "specifications", "the same rotary window and pairing on both sides",
                       [&] { return fmt::format("from ({}) to ({})", describe(from), describe(to)); });
}

/// @throws shape_error unless the rotary window lies within the head
inline void require_window(const rotary_specification& specification, std::int64_t head_dim, std::string_view where) {
  require<shape_error>(specification.window_offset <= head_dim - specification.rotary_dim(), where, "specification",
                       formatted("a rotary window within head_dim={}", head_dim),
                       [&] { return describe(specification); });
}

/// @throws frame_error where a norm followed RoPE and its weight is missing, value_error where it cannot be undone
inline void require_norm_weight(const rotation& rotation, const options& how, std::int64_t head_dim,
                                std::string_view where) {
  const bool defined = how.norm_weight.defined();
  if (rotation.geometry().normed_after_rotation && !defined) {
    fail<frame_error>(
        where, "options.norm_weight",
        "the weight of the norm that this model applies after RoPE (an elementwise weight does not commute with "
        "a rotation, so it must come off before a key can be moved)",
        "none");
  }
  if (defined && !rotation.geometry().normed_after_rotation) {
    fail<value_error>(where, "options.norm_weight", "none, since no norm follows this specification's rotation",
                      "a weight");
  }
  require<shape_error>(!defined || (how.norm_weight.dim() == 1 && how.norm_weight.size(0) == head_dim), where,
                       "options.norm_weight", formatted("[head_dim={}]", head_dim),
                       [&] { return describe(how.norm_weight); });
  if (defined && !how.norm_weight.isfinite().logical_and(how.norm_weight.ne(0)).all().item<bool>()) {
    fail<value_error>(where, "options.norm_weight", "finite and without zeros, to be divided by",
                      "a zero, infinite or NaN entry");
  }
}

/// How far from 0 the positions of `rotation` reach that lie on the host, or as far as its caller says; of a shared
/// delta half, as it may lead from one end to the other.
inline std::int64_t farthest(const rotation& rotation) {
  if (rotation.is_shared_delta()) {
    constexpr std::int64_t lowest = std::numeric_limits<std::int64_t>::min();
    return (rotation.delta == lowest ? std::numeric_limits<std::int64_t>::max() : std::abs(rotation.delta)) / 2;
  }
  return std::max({rotation.reach, farthest(rotation.from), farthest(rotation.to)});
}

/// @throws value_error where positions are so far from 0 that no angle of theirs is exact
inline void require_exact_positions(std::int64_t farthest, std::string_view where) {
  require<value_error>(farthest <= position_limit, where, "positions", formatted("at most {} from 0", position_limit),
                       formatted("{}", farthest));
}

/// Checks `rotation` against keys of `sample`'s extents and device, and gives it four-dimensional positions.
/// @throws shape_error, device_error, frame_error, value_error as the checks above
inline rotation checked(rotation rotation, const at::Tensor& sample, const options& how, std::string_view where) {
  const cache_extents extents = extents_of(sample);
  if (rotation.from.defined() && rotation.to.defined()) {
    require_same_geometry(rotation, where);
  }
  const rotary_specification& geometry = rotation.geometry();
  require_window(geometry, extents.head_dim, where);
  const auto check_side = [&](at::Tensor& positions, const rotary_specification& specification, std::string_view what) {
    if (positions.defined()) {
      validate(specification, where);
      positions = positions_for(positions, extents, specification.streams(), where, what);
      require_same_device(sample, positions, where, what);
    }
  };
  check_side(rotation.from, rotation.from_specification, "from");
  check_side(rotation.to, rotation.to_specification, "to");
  if (rotation.is_shared_delta() && !rotation.is_identity()) {
    validate(rotation.to_specification, where);
    require<value_error>(how.angles == angle_mode::exact, where, "options.angles",
                         "exact (a shared delta knows no positions; remap does)", "model_faithful");
  }
  require_norm_weight(rotation, how, extents.head_dim, where);
  return rotation;
}

}  // namespace kvtransfer::rope::detail
