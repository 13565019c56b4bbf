#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/project/concepts.hpp"
#include "kvtransfer/tensor/checks.hpp"

namespace kvtransfer {

/// How many heads of which width one layer's keys have, and its values likewise.
struct head_shape {
  std::int64_t kv_heads = 0;  ///< heads of keys and values
  std::int64_t head_dim = 0;  ///< elements of a head

  /// Elements of one token's keys in a layer.
  [[nodiscard]] std::int64_t features() const { return kv_heads * head_dim; }

  friend bool operator==(const head_shape&, const head_shape&) = default;
};

/// `kv_heads=2, head_dim=64`, as errors show it.
[[nodiscard]] inline std::string describe(const head_shape& shape) {
  return fmt::format("kv_heads={}, head_dim={}", shape.kv_heads, shape.head_dim);
}

namespace detail {

/// @throws shape_error unless both tensors are `[batch, kv_heads, seq, head_dim]` of `shape`
/// @param whose as "source layer 3"
inline void require_shape(const layer_kv& tensors, const head_shape& shape, std::string_view where,
                          std::string_view whose) {
  for (const auto& [half, tensor] : {std::pair<std::string_view, const at::Tensor&>{"keys", tensors.keys},
                                     std::pair<std::string_view, const at::Tensor&>{"values", tensors.values}}) {
    const bool fits =
        tensor.defined() && tensor.dim() == 4 && tensor.size(1) == shape.kv_heads && tensor.size(3) == shape.head_dim;
    require<shape_error>(fits, where, formatted("{}: {}", whose, half),
                         formatted("[batch, {}, seq, {}] ({})", shape.kv_heads, shape.head_dim, describe(shape)),
                         [&found = tensor] { return found.defined() ? describe(found) : std::string("nothing"); });
  }
}

/// @throws shape_error unless a projector's tensor is there and of `sizes` @param what its name
inline void require_sizes(const at::Tensor& tensor, const std::vector<std::int64_t>& sizes, std::string_view where,
                          std::string_view what) {
  require<shape_error>(
      tensor.defined() && tensor.sizes() == at::IntArrayRef(sizes), where, what,
      [&] { return fmt::format("[{}]", fmt::join(sizes, ", ")); },
      [&] { return tensor.defined() ? describe(tensor) : std::string("nothing"); });
}

/// `[batch, kv_heads, seq, head_dim]` as `[batch, seq, kv_heads·head_dim]`: head after head.
[[nodiscard]] inline at::Tensor flat_heads(const at::Tensor& tensor) { return tensor.transpose(1, 2).flatten(2, 3); }

/// The inverse of `flat_heads`.
[[nodiscard]] inline at::Tensor split_heads(const at::Tensor& flat, const head_shape& shape) {
  return flat.view({flat.size(0), flat.size(1), shape.kv_heads, shape.head_dim}).transpose(1, 2);
}

}  // namespace detail

}  // namespace kvtransfer
