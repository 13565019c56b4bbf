#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/project/concepts.hpp"
#include "kvtransfer/project/detail/project_layers.hpp"
#include "kvtransfer/project/slot_pairs.hpp"
#include "kvtransfer/tensor/integers.hpp"

namespace kvtransfer {

/// What `projector` makes of `source` for a receiver that has no cache of this text: slot i of the source becomes slot
/// i of `receiver`. The result stands in that frame, which has to say whose cache it is to be taken for, with the
/// projection among its edits. Differentiable with respect to the source and to the projector's numbers.
/// @param receiver see `receiver_frame`
/// @throws shape_error where layers, slots or heads do not fit; frame_error where rotated keys stand at other positions
///         than the receiver's would; value_error for a projector that adds to a cache
template <Projector P>
[[nodiscard]] cache project(const P& projector, const cache_view<>& source, const cache_frame& receiver) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  std::vector<std::int64_t> all;
  for (auto& layer : detail::projected_layers(projector, source, receiver, nullptr)) {
    const auto index = static_cast<std::int64_t>(all.size());
    require<value_error>(layer.has_value(), "project", formatted("layer {}", index),
                         "a layer that the projector writes (or a cache of the receiver)",
                         "one that it leaves as it is");
    keys.push_back(std::move(layer->keys));
    values.push_back(std::move(layer->values));
    all.push_back(index);
  }
  return cache(std::move(keys), std::move(values),
               detail::projected_frame(receiver, projector, source.frame(), all, {}), as_written);
}

namespace detail {

/// Those of `own` at the slots of `pairs`, replaced by `projected`. Differentiable.
[[nodiscard]] inline at::Tensor with_slots(const at::Tensor& own, const at::Tensor& projected,
                                           const slot_pairs& pairs) {
  const bool all = static_cast<std::int64_t>(pairs.receiver.size()) == own.size(2);
  return all ? projected : own.index_copy(2, integer_tensor(pairs.receiver, own.device()), projected);
}

/// Neighbouring slots as ranges. @param slots rising
[[nodiscard]] inline std::vector<slot_range> as_ranges(const std::vector<std::int64_t>& slots) {
  std::vector<slot_range> ranges;
  for (const std::int64_t slot : slots) {
    if (!ranges.empty() && ranges.back().end() == slot) {
      ++ranges.back().count;
    } else {
      ranges.push_back({slot, 1});
    }
  }
  return ranges;
}

/// @throws shape_error unless the lists are of one length, the receiver's rising, and all slots are there
inline void require_pairs(const slot_pairs& pairs, std::int64_t receiver_slots, std::int64_t source_slots) {
  require_count<shape_error>(pairs.source.size(), pairs.receiver.size(), "project", "pairs.source",
                             "{} slots, as many as the receiver's");
  require<shape_error>(std::ranges::adjacent_find(pairs.receiver, std::greater_equal<>()) == pairs.receiver.end(),
                       "project", "pairs.receiver", "rising slots", "some that are not");
  for (const std::int64_t slot : pairs.receiver) {
    require_index<shape_error>(slot, receiver_slots, "project", "slot of the receiver");
  }
  for (const std::int64_t slot : pairs.source) {
    require_index<shape_error>(slot, source_slots, "project", "slot of the source");
  }
}

}  // namespace detail

/// The receiver's own cache, with what `projector` makes of `source` added to it, or in its place, at the slots of
/// `pairs`; all else of it stays as it is. Differentiable likewise.
/// @throws as above, shape_error also for pairs that are not there
template <Projector P>
[[nodiscard]] cache project(const P& projector, const cache_view<>& source, const cache_view<>& receiver,
                            const slot_pairs& pairs) {
  detail::require_pairs(pairs, receiver.size(), source.size());
  const bool all = pairs == slot_pairs::same(receiver.size()) && source.size() == receiver.size();
  std::optional<cache> source_part;
  std::optional<cache> receiver_part;
  if (!all) {
    source_part.emplace(gather(source, slot_choice(pairs.source)));
    receiver_part.emplace(gather(receiver, slot_choice(pairs.receiver)));
  }
  const cache_view<> from = all ? source : source_part->view();
  const cache_view<> to = all ? receiver : receiver_part->view();
  const auto projected = detail::projected_layers(projector, from, to.frame(), &to);
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  std::vector<std::int64_t> written;
  for (std::int64_t i = 0; i < receiver.layers(); ++i) {
    const auto& layer = projected[static_cast<std::size_t>(i)];
    keys.push_back(receiver.layer(i).keys());
    values.push_back(receiver.layer(i).values());
    if (layer) {
      keys.back() = detail::with_slots(keys.back(), layer->keys, pairs);
      values.back() = detail::with_slots(values.back(), layer->values, pairs);
      written.push_back(i);
    }
  }
  cache_frame frame = receiver.frame();
  if (!written.empty() && !pairs.receiver.empty()) {
    frame = detail::projected_frame(std::move(frame), projector, source.frame(), std::move(written),
                                    detail::as_ranges(pairs.receiver));
  }
  return cache(std::move(keys), std::move(values), std::move(frame), as_written);
}

/// Likewise, slot i of the source for slot i of the receiver.
template <Projector P>
[[nodiscard]] cache project(const P& projector, const cache_view<>& source, const cache_view<>& receiver) {
  require_count<shape_error>(source.size(), receiver.size(), "project", "source",
                             "{} slots, as many as the receiver's");
  return project(projector, source, receiver, slot_pairs::same(receiver.size()));
}

}  // namespace kvtransfer
