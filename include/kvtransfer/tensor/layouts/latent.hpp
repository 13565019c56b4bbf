#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/tensor/concepts.hpp"
#include "kvtransfer/tensor/layouts/paged.hpp"
#include "kvtransfer/tensor/layouts/ragged.hpp"
#include "kvtransfer/tensor/layouts/strided.hpp"

namespace kvtransfer::layouts {

namespace detail {

/// `Base::axes` without the axis of heads.
template <CacheLayout Base>
struct axes_without_heads {
  static constexpr std::string_view left_out = "kv_heads, ";
  static constexpr auto text = [] {
    constexpr std::string_view all = Base::axes;
    constexpr std::size_t start = all.find(left_out);
    std::array<char, all.size() - left_out.size()> kept{};
    for (std::size_t i = 0; i < kept.size(); ++i) {
      kept[i] = all[i < start ? i : i + left_out.size()];
    }
    return kept;
  }();
  static constexpr std::string_view value{text.data(), text.size()};
};

}  // namespace detail

/// Multi-head latent attention's cache read as keys: a token's latent and, behind it, its rotary key, shared by all
/// heads.
///
/// @tparam Base the layout that the tensor would have with an axis of one head behind its first: batch_heads_seq_dim
///         for `[batch, seq, head_dim]`, ragged for `[total_tokens, head_dim]`, paged_hnd for `[num_blocks, block_size,
///         head_dim]`
template <CacheLayout Base = batch_heads_seq_dim>
struct latent_keys : Base {
  /// For messages.
  static constexpr std::string_view name = "latent_keys";
  /// Those of `Base` without its heads.
  static constexpr std::string_view axes = detail::axes_without_heads<Base>::value;

  /// `[batch, 1, seq, head_dim]`, sharing the tensor's storage.
  [[nodiscard]] at::Tensor view(const at::Tensor& tensor) const
    requires StridedLayout<Base>
  {
    return Base::view(tensor.unsqueeze(1));
  }
  /// The inverse of `view`, which takes one head alone.
  [[nodiscard]] at::Tensor arrange(const at::Tensor& canonical) const
    requires StridedLayout<Base>
  {
    return Base::arrange(canonical).squeeze(1);
  }
  /// `[blocks, 1, slots, head_dim]`, sharing the tensor's storage.
  [[nodiscard]] at::Tensor blocks(const at::Tensor& tensor) const
    requires SlottedLayout<Base>
  {
    return Base::blocks(tensor.unsqueeze(1));
  }
  /// The shape of `Base` for one head, without that axis.
  [[nodiscard]] std::vector<std::int64_t> storage_shape(std::int64_t, std::int64_t head_dim) const
    requires SlottedLayout<Base>
  {
    std::vector<std::int64_t> shape = Base::storage_shape(1, head_dim);
    shape.erase(shape.begin() + 1);
    return shape;
  }
};

/// The same tensor read as values, which are the latent alone: the first `width` elements.
template <CacheLayout Base = batch_heads_seq_dim>
struct latent_values : latent_keys<Base> {
  static constexpr std::string_view name = "latent_values";  ///< for messages
  std::int64_t width = 512;                                  ///< elements of the latent

  /// What `latent_keys` gives, without the rotary key.
  /// @{
  [[nodiscard]] at::Tensor view(const at::Tensor& tensor) const
    requires StridedLayout<Base>
  {
    return latent_keys<Base>::view(tensor).narrow(-1, 0, width);
  }
  [[nodiscard]] at::Tensor blocks(const at::Tensor& tensor) const
    requires SlottedLayout<Base>
  {
    return latent_keys<Base>::blocks(tensor).narrow(-1, 0, width);
  }
  /// @}
};

/// Keys and values of multi-head latent attention, both read from one tensor, given twice. The rotary specification
/// that goes with it has `window_offset` = `width`, so that no move reaches the latent.
/// @param width elements of the latent, 512 for DeepSeek's models
template <CacheLayout Base = batch_heads_seq_dim>
[[nodiscard]] separate<latent_keys<Base>, latent_values<Base>> latent(const Base& base = {}, std::int64_t width = 512) {
  return {{base}, {{base}, width}};
}

static_assert(StridedLayout<latent_keys<>> && StridedLayout<latent_values<>>);
static_assert(SlottedLayout<latent_keys<ragged>> && SlottedLayout<latent_values<paged_hnd>>);

}  // namespace kvtransfer::layouts
