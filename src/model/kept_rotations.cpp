#include "model/kept_rotations.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "kvtransfer/core/alike.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "kvtransfer/tensor/upload.hpp"

namespace kvtransfer::detail {

namespace {

/// Positions that are computed together, because those that follow will be asked for next.
constexpr std::int64_t block = 64;

/// `kept` with room for `rows` rows.
at::Tensor grown(const at::Tensor& kept, std::int64_t used, std::int64_t rows, const at::Tensor& like) {
  const std::int64_t capacity = kept.defined() ? kept.size(2) : 0;
  if (rows <= capacity) {
    return kept;
  }
  at::Tensor larger = at::empty({1, 1, std::max(rows, 2 * capacity), like.size(3)}, like.options());
  if (used > 0) {
    larger.slice(2, 0, used).copy_(kept.slice(2, 0, used));
  }
  return larger;
}

}  // namespace

kept_rotations::kept_rotations(const model_config& config, at::ScalarType dtype, at::Device device)
    : config_(&config), dtype_(dtype), device_(device), geometry_(rotary_specifications(config, 1)) {
  group_of_.resize(config.rotary.size());
  const auto groups = alike_groups(config.rotary.size(), [&](std::size_t a, std::size_t b) {
    return config.rotary[a].computes_as(config.rotary[b]);
  });
  for (std::size_t i = 0; i < groups.size(); ++i) {
    first_layers_.push_back(groups[i].front());
    for (const std::size_t layer : groups[i]) {
      group_of_[layer] = i;
    }
  }
  kept_.resize(groups.size());
  selected_.resize(groups.size());
  depends_on_length_ =
      std::ranges::any_of(config.rotary, [](const rotary_embedding& layer) { return layer.depends_on_length(); });
}

void kept_rotations::append(rotation_place first, std::int64_t count) {
  const auto used = static_cast<std::int64_t>(rows_.size());
  const at::Tensor positions = at::arange(first.position, first.position + count, at::kLong).to(device_);
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    const rotary_embedding& embedding = config_->rotary[first_layers_[i]];
    if (!embedding.rotates()) {
      continue;
    }
    const rope::cos_sin fresh = rope::cos_sin_table(embedding.at(first.reach), positions, dtype_);
    const at::Tensor before = kept_[i].cos;
    kept_[i].cos = grown(before, used, used + count, fresh.cos);
    version_ += kept_[i].cos.is_same(before) ? 0 : 1;
    kept_[i].sin = grown(kept_[i].sin, used, used + count, fresh.sin);
    kept_[i].cos.slice(2, used, used + count).copy_(fresh.cos);
    kept_[i].sin.slice(2, used, used + count).copy_(fresh.sin);
  }
  for (std::int64_t j = 0; j < count; ++j) {
    rows_.emplace(rotation_place{first.position + j, first.reach}, used + j);
  }
}

std::int64_t kept_rotations::row_of(rotation_place place) {
  place.reach = depends_on_length_ ? place.reach : 0;
  const auto known = rows_.find(place);
  if (known != rows_.end()) {
    return known->second;
  }
  std::int64_t count = 1;
  if (!depends_on_length_) {
    const auto next = rows_.upper_bound(place);
    count = next == rows_.end() ? block : std::min(block, next->first.position - place.position);
  }
  append(place, count);
  return rows_.at(place);
}

std::vector<std::int64_t> kept_rotations::rows_of(const std::vector<rotation_place>& places) {
  std::vector<std::int64_t> rows;
  rows.reserve(places.size());
  for (const rotation_place& place : places) {
    rows.push_back(row_of(place));
  }
  return rows;
}

void kept_rotations::select(const std::vector<rotation_place>& places, std::int64_t batch) {
  const at::Tensor index = uploaded(rows_of(places), at::kLong, device_);
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    if (kept_[i].cos.defined()) {
      const auto chosen = [&](const at::Tensor& table) {
        return table.index_select(2, index).view({batch, 1, index.size(0) / batch, table.size(3)});
      };
      selected_[i] = {chosen(kept_[i].cos), chosen(kept_[i].sin)};
    }
  }
}

}  // namespace kvtransfer::detail
