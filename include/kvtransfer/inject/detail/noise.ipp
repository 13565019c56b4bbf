#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/edited.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/noise.hpp"
#include "kvtransfer/tensor/operations.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"
#include "kvtransfer/tensor/upload.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE at::Tensor moment_matched(const at::Tensor& tensor, const at::Tensor& valid,
                                            const at::Tensor& drawn) {
  constexpr std::array<std::int64_t, 2> slots_and_elements{2, 3};
  const at::Tensor counted = valid.unsqueeze(-1).expand_as(tensor);
  const at::Tensor count = counted.sum(slots_and_elements, true).clamp_min(1);
  const at::Tensor wide = tensor.detach().to(at::kFloat).where(counted, 0);
  const at::Tensor mean = wide.sum(slots_and_elements, true).div(count);
  const at::Tensor variance = wide.sub(mean).where(counted, 0).square().sum(slots_and_elements, true).div(count);
  return drawn.mul(variance.sqrt()).add(mean).to(tensor.scalar_type());
}

KVTRANSFER_INLINE std::vector<at::Tensor> normal_noise(const std::vector<at::Tensor>& keys_and_values,
                                                       std::uint64_t seed) {
  constexpr std::int64_t at_once = std::int64_t{1}
                                   << 24;  // numbers brought to a device by one copy, at least a tensor's
  at::Generator generator = at::detail::createCPUGenerator(seed);
  std::vector<at::Tensor> drawn;
  for (std::size_t first = 0; first < keys_and_values.size();) {
    const at::Device device = keys_and_values[first].device();
    std::size_t behind = first;
    std::int64_t elements = 0;
    do {
      elements += keys_and_values[behind].numel();
      ++behind;
    } while (behind < keys_and_values.size() && keys_and_values[behind].device() == device &&
             elements + keys_and_values[behind].numel() <= at_once);
    const at::Tensor host = upload_buffer({elements}, at::kFloat, device);
    std::int64_t begin = 0;
    for (std::size_t i = first; i < behind; ++i) {
      const at::Tensor& each = keys_and_values[i];
      host.narrow(0, begin, each.numel()).view(each.sizes()).normal_(0.0, 1.0, generator);
      begin += each.numel();
    }
    const at::Tensor there = uploaded(host, device);
    for (begin = 0; first < behind; ++first) {
      const at::Tensor& each = keys_and_values[first];
      drawn.push_back(there.narrow(0, begin, each.numel()).view(each.sizes()));
      begin += each.numel();
    }
  }
  return drawn;
}

KVTRANSFER_INLINE at::Tensor behind_kept(const at::Tensor& original, const at::Tensor& changed, std::int64_t kept) {
  return kept == 0 ? changed : changed.slice_scatter(original.slice(2, 0, kept), 2, 0, kept);
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE cache moment_matched_noise(const cache_view<>& source, std::uint64_t seed, std::int64_t kept) {
  require<value_error>(kept == 0 || (kept > 0 && kept < source.size()), "moment_matched_noise", "kept",
                       fmt::format("less than {} slots", source.size()), fmt::format("{}", kept));
  std::vector<at::Tensor> originals;  // keys and values of each layer
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    originals.push_back(source.layer(i).keys());
    originals.push_back(source.layer(i).values());
  }
  const std::vector<at::Tensor> drawn = detail::normal_noise(originals, seed);
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    const layer_view<>& layer = source.layer(i);
    const at::Tensor valid = validity_tensor(layer.frame().positions, layer.device());
    const auto noise_for = [&](std::size_t half) {
      const std::size_t index = 2 * static_cast<std::size_t>(i) + half;
      return detail::behind_kept(originals[index], detail::moment_matched(originals[index], valid, drawn[index]), kept);
    };
    keys.push_back(noise_for(0));
    values.push_back(noise_for(1));
  }
  return edited(source, std::move(keys), std::move(values),
                {edit_kind::noise,
                 cache_half::both,
                 {},
                 {},
                 kept == 0 ? std::vector<slot_range>{} : std::vector<slot_range>{{kept, source.size() - kept}},
                 fmt::format("seed {}", seed)});
}

}  // namespace kvtransfer
