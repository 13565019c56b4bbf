#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"

namespace kvtransfer {

namespace detail {

/// Normal noise with the mean and standard deviation that `tensor` has in each row and head. What padding holds counts
/// for nothing.
/// @param tensor `[batch, kv_heads, seq, head_dim]`
/// @param valid bool `[batch, kv_heads or 1, seq]`
/// @param drawn fp32 of tensor's shape beside it, of mean 0 and deviation 1
[[nodiscard]] at::Tensor moment_matched(const at::Tensor& tensor, const at::Tensor& valid, const at::Tensor& drawn);

/// Normal noise of mean 0 and deviation 1 for keys and values, layer by layer: drawn on the host, one after the other,
/// and brought to where each is, many at a time.
/// @return fp32, in the order keys, values of each layer
[[nodiscard]] std::vector<at::Tensor> normal_noise(const std::vector<at::Tensor>& keys_and_values, std::uint64_t seed);

/// The first `kept` slots of `original`, then those of `changed`.
[[nodiscard]] at::Tensor behind_kept(const at::Tensor& original, const at::Tensor& changed, std::int64_t kept);

}  // namespace detail

/// A cache of `source`'s shape and frame whose keys and values are noise with the source's mean and standard deviation
/// per layer, row and head. Drawn on the host from `seed`, so every device sees the same noise. The frame is the
/// source's, with the noise among its edits: who reads the cache still needs the model and the rotation that it says.
/// @param kept slots at the left end that stay as they are: the first one takes up most of what many heads do not need
/// @throws value_error unless there is a slot behind those kept, or none is to be kept
[[nodiscard]] cache moment_matched_noise(const cache_view<>& source, std::uint64_t seed, std::int64_t kept = 0);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/noise.ipp"  // IWYU pragma: export
#endif
