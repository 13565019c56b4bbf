#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <array>
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

namespace kvtransfer::detail {

KVTRANSFER_INLINE at::Tensor moment_matched(const at::Tensor& tensor, const at::Tensor& valid,
                                            at::Generator generator) {
  constexpr std::array<std::int64_t, 2> slots_and_elements{2, 3};
  const at::Tensor counted = valid.unsqueeze(-1).expand_as(tensor);
  const at::Tensor count = counted.sum(slots_and_elements, true).clamp_min(1);
  const at::Tensor wide = tensor.detach().to(at::kFloat).where(counted, 0);
  const at::Tensor mean = wide.sum(slots_and_elements, true).div(count);
  const at::Tensor variance = wide.sub(mean).where(counted, 0).square().sum(slots_and_elements, true).div(count);
  const at::Tensor noise =
      new_tensor(tensor.sizes(), at::kFloat).normal_(0.0, 1.0, std::move(generator)).to(tensor.device());
  return noise.mul(variance.sqrt()).add(mean).to(tensor.scalar_type());
}

KVTRANSFER_INLINE at::Tensor behind_kept(const at::Tensor& original, const at::Tensor& changed, std::int64_t kept) {
  return kept == 0 ? changed : changed.slice_scatter(original.slice(2, 0, kept), 2, 0, kept);
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE cache moment_matched_noise(const cache_view<>& source, std::uint64_t seed, std::int64_t kept) {
  require<value_error>(kept == 0 || (kept > 0 && kept < source.size()), "moment_matched_noise", "kept",
                       fmt::format("less than {} slots", source.size()), fmt::format("{}", kept));
  at::Generator generator = at::detail::createCPUGenerator(seed);
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    const layer_view<>& layer = source.layer(i);
    const at::Tensor valid = validity_tensor(layer.frame().positions, layer.device());
    keys.push_back(detail::behind_kept(layer.keys(), detail::moment_matched(layer.keys(), valid, generator), kept));
    values.push_back(
        detail::behind_kept(layer.values(), detail::moment_matched(layer.values(), valid, generator), kept));
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
