#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/rope/rotation.hpp"

namespace kvtransfer::rope {

namespace detail {

/// True if `blocks` counts up by one.
[[nodiscard]] bool are_neighbours(const std::vector<std::int64_t>& blocks);

/// @throws shape_error unless every one of `blocks` is one of the layers', and none is named twice
void require_blocks(const std::vector<at::Tensor>& layers, const std::vector<std::int64_t>& blocks,
                    std::string_view where);

/// The blocks named: a part of `layer` where they are neighbours, else a copy.
[[nodiscard]] at::Tensor blocks_of(const at::Tensor& layer, const std::vector<std::int64_t>& blocks);

}  // namespace detail

/// Throws what `rotate_blocks_` would throw for these arguments and rotates nothing.
/// @param valid bool `[blocks, kv_heads or 1, slots]`: false for padding, whose contents mean nothing; undefined: all
/// @return what `rotate_checked_blocks_` takes for these layers and blocks
checked_rotation require_blocks_rotatable(const std::vector<at::Tensor>& layers,
                                          const std::vector<std::int64_t>& blocks, const rotation& how_far,
                                          const options& how = {}, std::string_view where = "rotate_blocks_",
                                          const at::Tensor& valid = {});

/// `rotate_blocks_` for layers and blocks that `require_blocks_rotatable` has let through.
void rotate_checked_blocks_(const std::vector<at::Tensor>& layers, const std::vector<std::int64_t>& blocks,
                            const checked_rotation& checked);

/// Rotates the keys of some blocks of every layer in place, and of no other, as the blocks of a paged cache.
/// @param layers each `[blocks, kv_heads, slots, head_dim]`, as for `rotate_keys_`
/// @param blocks which of them, none twice; positions in `how_far` are those of these blocks, in this order
/// @throws shape_error, frame_error, value_error, device_error on arguments that do not fit
void rotate_blocks_(const std::vector<at::Tensor>& layers, const std::vector<std::int64_t>& blocks,
                    const rotation& how_far, const options& how = {}, std::string_view where = "rotate_blocks_");

}  // namespace kvtransfer::rope

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/rope/detail/rotate_blocks.ipp"  // IWYU pragma: export
#endif
