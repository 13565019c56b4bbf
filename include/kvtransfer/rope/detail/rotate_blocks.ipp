#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/rope/detail/fp8_range.hpp"
#include "kvtransfer/rope/detail/fused_kernels.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_blocks.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/kernel_table.hpp"
#include "kvtransfer/tensor/memory.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer::rope::detail {

KVTRANSFER_INLINE bool are_neighbours(const std::vector<std::int64_t>& blocks) {
  return std::adjacent_find(blocks.begin(), blocks.end(), [](auto a, auto b) { return b != a + 1; }) == blocks.end();
}

KVTRANSFER_INLINE void require_blocks(const std::vector<at::Tensor>& layers, const std::vector<std::int64_t>& blocks,
                                      std::string_view where) {
  std::vector<char> named(static_cast<std::size_t>(layers.front().size(0)), 0);
  for (const std::int64_t block : blocks) {
    const bool exists = block >= 0 && block < layers.front().size(0);
    require<shape_error>(exists && named[static_cast<std::size_t>(block)] == 0, where, "blocks",
                         formatted("0 <= block < {}, each once", layers.front().size(0)), formatted("{}", block));
    named[static_cast<std::size_t>(block)] = 1;
  }
}

KVTRANSFER_INLINE at::Tensor blocks_of(const at::Tensor& layer, const std::vector<std::int64_t>& blocks) {
  if (are_neighbours(blocks)) {
    return layer.narrow(0, blocks.front(), static_cast<std::int64_t>(blocks.size()));
  }
  const at::Tensor chosen = kvtransfer::detail::copyable(layer).index_select(0, integer_tensor(blocks, layer.device()));
  return chosen.view(layer.scalar_type());
}

}  // namespace kvtransfer::rope::detail

namespace kvtransfer::rope {

KVTRANSFER_INLINE checked_rotation require_blocks_rotatable(const std::vector<at::Tensor>& layers,
                                                            const std::vector<std::int64_t>& blocks,
                                                            const rotation& how_far, const options& how,
                                                            std::string_view where, const at::Tensor& valid) {
  detail::require_alike(layers, where);
  detail::require_writable(layers, where);
  detail::require_blocks(layers, blocks, where);
  const at::Tensor& first = layers.front();
  const at::Tensor sample = blocks.empty()
                                ? first.narrow(0, 0, 0)
                                : first.narrow(0, 0, 1).expand({static_cast<std::int64_t>(blocks.size()), -1, -1, -1});
  checked_rotation checked = detail::checked_for("kvtransfer::rotate_blocks_", how_far, sample, how, where);
  if (!blocks.empty() && detail::fp8_format_of(first.scalar_type()) != nullptr) {
    std::vector<at::Tensor> meant;
    for (const at::Tensor& layer : layers) {
      meant.push_back(detail::blocks_of(layer, blocks));
    }
    detail::require_in_fp8(meant, checked, valid, where);
  }
  return checked;
}

KVTRANSFER_INLINE void rotate_checked_blocks_(const std::vector<at::Tensor>& layers,
                                              const std::vector<std::int64_t>& blocks,
                                              const checked_rotation& checked) {
  if (blocks.empty() || !checked.rotation.geometry().rotates() || layers.front().numel() == 0) {
    return;
  }
  if (detail::are_neighbours(blocks)) {
    std::vector<at::Tensor> parts;
    for (const at::Tensor& layer : layers) {
      parts.push_back(detail::blocks_of(layer, blocks));
    }
    return rotate_checked_keys_(parts, checked);
  }
  const at::Tensor index = integer_tensor(blocks, layers.front().device());
  if (checked.used == implementation::fused) {
    const auto arguments = detail::as_tensors(checked.rotation, checked.how.angles);
    return detail::kernels()->rotate_blocks_(arguments, layers, index);
  }
  for (const at::Tensor& layer : layers) {
    const at::Tensor meant = layer.index_select(0, index);
    detail::rotate_by_reference_({meant}, checked);
    layer.index_copy_(0, index, meant);
  }
}

KVTRANSFER_INLINE void rotate_blocks_(const std::vector<at::Tensor>& layers, const std::vector<std::int64_t>& blocks,
                                      const rotation& how_far, const options& how, std::string_view where) {
  const checked_rotation checked = require_blocks_rotatable(layers, blocks, how_far, how, where);
  std::vector<memory_range> moved;
  for (const at::Tensor& layer : layers) {
    for (const std::int64_t block : blocks) {
      moved.push_back(memory_of(layer.select(0, block)));
    }
  }
  memory_changes::instance().note(std::move(moved), where);  // however far the rotation gets
  rotate_checked_blocks_(layers, blocks, checked);
}

}  // namespace kvtransfer::rope
