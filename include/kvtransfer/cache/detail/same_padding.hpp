#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <string_view>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

/// @param expected, found bool `[batch, kv_heads or 1, seq]`: which slots of a layer hold a key
/// @throws frame_error naming the first slot that is padding in one of two caches alone
inline void require_same_padding(const at::Tensor& expected, const at::Tensor& found, std::int64_t layer,
                                 std::string_view where) {
  const at::Tensor other = expected.ne(found);
  if (other.any().item<bool>()) {
    const at::Tensor first = other.nonzero()[0];
    const auto at = [&](std::int64_t axis) { return first[axis].item<std::int64_t>(); };
    const bool is_padding = !found.expand(other.sizes())[at(0)][at(1)][at(2)].item<bool>();
    fail<frame_error>(where, fmt::format("layer {}", layer), "padding at the same slots in both caches",
                      fmt::format("{} at slot {} of row {} beside {}", is_padding ? "padding" : "a key", at(2), at(0),
                                  is_padding ? "a key" : "padding"));
  }
}

}  // namespace kvtransfer::detail
