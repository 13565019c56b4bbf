#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/expand_rows.hpp"
#include "kvtransfer/cache/layer_view.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE segment segment::shown_to(std::int64_t batch) const {
  const cache_view<> alone({kv_.keys()}, {kv_.values()}, origin_, as_written);
  segment all(expand_rows(alone, batch), 0, visible.defined() ? visible.expand({batch, -1, -1}) : visible);
  all.layer_ = layer_;
  return all;
}

}  // namespace kvtransfer

namespace kvtransfer::detail {

KVTRANSFER_INLINE void add_in_layer(std::vector<cache_edit>& edits, cache_edit edit, std::int64_t layer) {
  const auto alike = std::ranges::find_if(edits, [&](const cache_edit& known) {
    edit.layers = known.layers;
    return known == edit;
  });
  if (alike == edits.end()) {
    edit.layers = {layer};
    edits.push_back(std::move(edit));
  } else if (alike->layers.back() != layer) {
    alike->layers.push_back(layer);
  }
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE std::int64_t plan::injected(std::int64_t layer) const {
  std::int64_t slots = 0;
  for (const segment& part : segments(layer)) {
    slots += part.kv().size();
  }
  return slots;
}

KVTRANSFER_INLINE const std::vector<segment>& plan::segments(std::int64_t layer) const& {
  static const std::vector<segment> none;
  if (layers.empty()) {
    return none;
  }
  require_index<shape_error>(layer, static_cast<std::int64_t>(layers.size()), "plan", "layer");
  return layers[static_cast<std::size_t>(layer)];
}

KVTRANSFER_INLINE std::vector<cache_edit> plan::edits() const {
  std::vector<cache_edit> all;
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    std::int64_t offset = 0;
    for (const segment& part : layers[layer]) {
      for (cache_edit edit : part.origin().edits()) {
        for (slot_range& range : edit.slots) {
          range.begin += offset;
        }
        detail::add_in_layer(all, std::move(edit), static_cast<std::int64_t>(layer));
      }
      offset += part.kv().size();
    }
  }
  return all;
}

KVTRANSFER_INLINE bool plan::assumed() const {
  return std::ranges::any_of(layers, [](const std::vector<segment>& parts) {
    return std::ranges::any_of(parts, [](const segment& part) { return part.origin().assumed(); });
  });
}

KVTRANSFER_INLINE origin_basis plan::basis() const {
  origin_basis weakest = origin_basis::recorded;
  for (const std::vector<segment>& parts : layers) {
    for (const segment& part : parts) {
      weakest = std::max(weakest, part.origin().origin().basis());
    }
  }
  return weakest;
}

}  // namespace kvtransfer

namespace kvtransfer::detail {

KVTRANSFER_INLINE std::int64_t longest_row(const std::vector<std::vector<std::int64_t>>& rows, std::string_view where) {
  std::int64_t longest = 0;
  for (const std::vector<std::int64_t>& row : rows) {
    require<shape_error>(!row.empty(), where, "token_ids", "at least one token in every row", "an empty row");
    longest = std::max(longest, static_cast<std::int64_t>(row.size()));
  }
  require<shape_error>(longest > 0, where, "token_ids", "at least one row", "none");
  return longest;
}

KVTRANSFER_INLINE position_row padded_left(const position_row& row, std::int64_t size) {
  position_row padded;
  padded.append({0, size - row.size(), 0, slot_state::padding()});
  padded.append(row);
  return padded;
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE plan plan_of(std::vector<std::vector<std::int64_t>> token_ids) {
  const std::int64_t longest = detail::longest_row(token_ids, "plan_of");
  std::vector<position_row> rows;
  for (const std::vector<std::int64_t>& row : token_ids) {
    const auto count = static_cast<std::int64_t>(row.size());
    rows.push_back(detail::padded_left(position_row::consecutive(0, count), longest));
  }
  const auto batch = static_cast<std::int64_t>(rows.size());
  return {std::move(token_ids), position_map(1, batch, 1, std::move(rows)), {}};
}

KVTRANSFER_INLINE at::Tensor token_tensor(const std::vector<std::vector<std::int64_t>>& rows, std::int64_t padding,
                                          at::Device device) {
  const std::int64_t longest = detail::longest_row(rows, "token_tensor");
  at::Tensor tokens = detail::new_tensor({static_cast<std::int64_t>(rows.size()), longest}, at::kLong);
  std::int64_t* out = tokens.mutable_data_ptr<std::int64_t>();
  for (const std::vector<std::int64_t>& row : rows) {
    out = std::fill_n(out, longest - static_cast<std::int64_t>(row.size()), padding);
    out = std::copy(row.begin(), row.end(), out);
  }
  return device.is_cpu() ? tokens : tokens.to(device);
}

}  // namespace kvtransfer
