#include "model/batch_caches.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

#include "kvtransfer/rope/rotary_embedding.hpp"
#include "kvtransfer/tensor/detail/copy_slots.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"
#include "model/model_snapshot.hpp"
#include "model/plan_frame.hpp"
#include "model/slot_attention.hpp"

namespace kvtransfer::detail {

batch_caches::batch_caches(const causal_lm& model, const batch_sizes& sizes)
    : model_(&model),
      origin_(origin_of(model)),
      sizes_(sizes),
      depends_on_length_(std::ranges::any_of(model.config.rotary,
                                             [](const rotary_embedding& layer) { return layer.depends_on_length(); })),
      frames_(static_cast<std::size_t>(sizes.groups)),
      next_positions_(static_cast<std::size_t>(sizes.groups)) {
  const model_config& config = model.config;
  const at::TensorOptions options =
      at::TensorOptions().dtype(slot_type(config, model.dtype(), model.device())).device(model.device());
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const auto buffer = [&](const std::vector<std::int64_t>& shape) { return at::zeros(shape, options); };
    const std::vector<std::int64_t> prefix{sizes.groups, config.kv_heads, sizes.prefix, config.head_dim};
    const std::vector<std::int64_t> tail{sizes.sequences(), config.kv_heads, sizes.tail, config.head_dim};
    layers_.push_back({buffer(prefix), buffer(prefix), buffer(tail), buffer(tail)});
  }
  const at::TensorOptions whole = options.dtype(at::kLong);
  const std::int64_t heads = sizes.heads_differ ? config.kv_heads : 1;
  for (std::int64_t i = 0; i < (sizes.layers_alike ? 1 : config.layers); ++i) {
    slots_.push_back({at::full({sizes.groups, heads, sizes.prefix}, nobodys, whole),
                      at::zeros({sizes.groups, heads}, whole), at::zeros({sizes.groups}, whole),
                      std::vector<std::int64_t>(static_cast<std::size_t>(sizes.groups))});
  }
}

void batch_caches::inject(std::int64_t group, const checked_plan& read) {
  const auto g = static_cast<std::size_t>(group);
  frames_[g] = read.injected;
  const std::int64_t tokens = read.input.size();
  for (prefix_slots& slots : slots_) {
    const auto layer = static_cast<std::int64_t>(&slots - slots_.data());
    const position_map& positions = read.injected.layer(layer).positions;
    const at::Tensor valid = validity_tensor(positions, model_->device())[0];  // [heads, slots]
    const at::Tensor numbers = valid.cumsum(1);
    const at::Tensor count = valid.sum(1);
    const std::int64_t injected = positions.size();
    at::Tensor ordinals = slots.ordinals[group];
    ordinals.fill_(nobodys);
    ordinals.slice(1, 0, injected).copy_(numbers.masked_fill(valid.logical_not(), nobodys));
    const at::Tensor own = at::arange(1, tokens + 1, numbers.options());
    ordinals.slice(1, injected, injected + tokens).copy_(count.unsqueeze(1) + own);
    slots.counts[group].copy_(count + tokens);
    slots.used[group].fill_(injected + tokens);
    slots.lengths[g] = injected + tokens;
  }
  std::vector<at::Tensor> to;  // all layers at once: a copy each takes longer to ask for than to make
  std::vector<at::Tensor> from;
  for (std::int64_t layer = 0; layer < model_->config.layers; ++layer) {
    const layer_buffers& kept = buffers(layer);
    std::int64_t begin = 0;
    for (const segment& part : read.input.segments(layer)) {
      const std::int64_t count = part.kv().size();
      const auto put = [&](const at::Tensor& slots, const at::Tensor& given) {
        const at::Tensor place = slots.narrow(0, group, 1).narrow(2, begin, count);
        if (given.scalar_type() == place.scalar_type()) {
          to.push_back(place);
          from.push_back(given);
        } else {
          place.copy_(given);
        }
      };
      if (count > 0) {
        put(kept.prefix_keys, part.kv().keys());
        put(kept.prefix_values, part.kv().values());
      }
      begin += count;
    }
  }
  copy_slots_(to, from, {});
  const position_row& row = read.input.positions.row(0, 0, 0);
  next_positions_[g] = row.last_position().value_or(-1) + 1;
  frames_[g].append(written_frame(rotary_specifications(model_->config, next_positions_[g]), read.input.positions,
                                  read.input.token_ids, origin_));
}

std::int64_t batch_caches::longest_prefix() const {
  std::int64_t longest = 0;
  for (const prefix_slots& slots : slots_) {
    longest = std::max(longest, *std::ranges::max_element(slots.lengths));
  }
  return longest;
}

cache batch_caches::left_by(std::int64_t sequence, const std::vector<std::int64_t>& read) const {
  at::NoGradGuard no_grad;
  const std::int64_t group = sequence / sizes_.members;
  const auto g = static_cast<std::size_t>(group);
  const auto count = static_cast<std::int64_t>(read.size());
  cache_frame frame = frames_[g];
  for (std::size_t begin = 0; begin < read.size();) {
    const std::int64_t position = next_positions_[g] + static_cast<std::int64_t>(begin);
    const std::vector<rotary_specification> rotary = rotary_specifications(model_->config, position + 1);
    std::size_t end = depends_on_length_ ? begin + 1 : read.size();
    while (end < read.size() &&
           rotary == rotary_specifications(model_->config, next_positions_[g] + static_cast<std::int64_t>(end) + 1)) {
      ++end;
    }
    const auto first = static_cast<std::ptrdiff_t>(begin);
    const auto last = static_cast<std::ptrdiff_t>(end);
    frame.append(written_frame(rotary, position_map::consecutive(position, static_cast<std::int64_t>(end - begin)),
                               {{read.begin() + first, read.begin() + last}}, origin_));
    begin = end;
  }
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t layer = 0; layer < model_->config.layers; ++layer) {
    const layer_buffers& buffers = layers_[static_cast<std::size_t>(layer)];
    const std::int64_t length = slots_of(layer).lengths[g];
    const auto joined = [&](const at::Tensor& prefix, const at::Tensor& behind) {
      return at::cat({prefix[group].slice(1, 0, length), behind[sequence].slice(1, 0, count)}, 1)
          .unsqueeze(0)
          .to(model_->dtype());
    };
    keys.push_back(joined(buffers.prefix_keys, buffers.tail_keys));
    values.push_back(joined(buffers.prefix_values, buffers.tail_values));
  }
  return cache(std::move(keys), std::move(values), std::move(frame), as_written);
}

}  // namespace kvtransfer::detail
