#include "model/sequence_batch.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "kvtransfer/tensor/upload.hpp"
#include "model/prefix_reader.hpp"
#include "model/slot_attention.hpp"
#include "model/transformer.hpp"

namespace kvtransfer::detail {

namespace {

/// Steps of kernels on a GPU before the host looks: it waits for them then, and they for it.
constexpr std::int64_t turns_on_gpu = 8;
/// Tail slots are looked at in steps of so many where no kernel goes by each sequence's own, so that few shapes occur.
constexpr std::int64_t tail_step = 32;

}  // namespace

sequence_batch::sequence_batch(const causal_lm& model, const batch_sizes& sizes, bool replays)
    : model_(&model),
      sizes_(sizes),
      turns_(model.device().is_cuda() && attends_by_kernels(model.config, model.dtype(), model.device()) ? turns_on_gpu
                                                                                                         : 1),
      caches_(model, sizes),
      rotations_(model.config, model.dtype(), model.device()),
      state_(sizes.sequences(), sizes.tail, turns_, model.device()),
      places_(at::zeros({sizes.groups, sizes.tail}, at::TensorOptions().dtype(at::kLong).device(model.device()))),
      turns_since_(static_cast<std::size_t>(sizes.sequences())),
      graphs_(places_, replays && attends_by_kernels(model.config, model.dtype(), model.device())) {}

at::Tensor sequence_batch::read_states(const std::vector<std::int64_t>& groups,
                                       const std::vector<const checked_plan*>& plans,
                                       const std::vector<std::int64_t>& asked) {
  return prefix_reader(*model_, caches_, rotations_).read_states(groups, plans, asked);
}

at::Tensor sequence_batch::read(const std::vector<std::int64_t>& groups,
                                const std::vector<const checked_plan*>& plans) {
  at::NoGradGuard no_grad;
  const at::Tensor logits = prefix_reader(*model_, caches_, rotations_).read(groups, plans);
  std::vector<rotation_place> places;
  for (const std::int64_t group : groups) {
    for (std::int64_t i = 0; i < sizes_.tail; ++i) {
      const std::int64_t position = caches_.next_position(group) + i;
      places.push_back({position, position + 1});
    }
  }
  const auto there = [&](const std::vector<std::int64_t>& list) { return uploaded(list, at::kLong, model_->device()); };
  places_.index_copy_(0, there(groups), there(rotations_.rows_of(places)).view({-1, sizes_.tail}));
  return logits;
}

void sequence_batch::begin(const std::vector<begun_sequence>& begun) {
  state_.begin(begun);
  for (const begun_sequence& each : begun) {
    turns_since_[static_cast<std::size_t>(each.sequence)] = 0;
  }
}

std::vector<std::vector<std::optional<token_choice>>> sequence_batch::run(const std::vector<std::int64_t>& going,
                                                                          std::int64_t turns) {
  at::NoGradGuard no_grad;
  if (const std::pair now(state_.version(), rotations_.version()); now != versions_) {
    graphs_.forget();
    versions_ = now;
  }
  const row_set& rows = rows_of(going);
  const std::int64_t tail = longest_tail(going, turns);
  for (std::int64_t turn = 0; turn < turns; ++turn) {
    graphs_.run(static_cast<std::int64_t>(rows.listed.size()), [&] { make_step(rows, tail); });
    state_.count_turn();
  }
  for (const std::int64_t sequence : going) {
    turns_since_[static_cast<std::size_t>(sequence)] += turns;
  }
  return state_.choices(turns);
}

const sequence_batch::row_set& sequence_batch::rows_of(const std::vector<std::int64_t>& going) {
  std::vector<std::int64_t> listed = going;
  if (turns_ > 1) {
    std::int64_t size = sizes_.sequences();
    while ((size + 1) / 2 >= static_cast<std::int64_t>(going.size()) && size > 1) {
      size = (size + 1) / 2;
    }
    for (std::int64_t sequence = 0; static_cast<std::int64_t>(listed.size()) < size; ++sequence) {
      if (!std::ranges::binary_search(going, sequence)) {
        listed.push_back(sequence);
      }
    }
  }
  row_set& rows = row_sets_[static_cast<std::int64_t>(listed.size())];
  if (rows.listed != listed) {
    std::vector<std::int64_t> first_place;
    for (const std::int64_t sequence : listed) {
      first_place.push_back(sequence / sizes_.members * sizes_.tail);
    }
    const auto there = [&](const std::vector<std::int64_t>& list) {
      return uploaded(list, at::kLong, model_->device());
    };
    if (rows.listed.empty()) {
      rows = {{}, there(listed), there(first_place)};
    } else {
      rows.sequences.copy_(there(listed));
      rows.first_place.copy_(there(first_place));
    }
    rows.listed = std::move(listed);
  }
  return rows;
}

std::int64_t sequence_batch::longest_tail(const std::vector<std::int64_t>& going, std::int64_t turns) const {
  std::int64_t most = 0;
  for (const std::int64_t sequence : going) {
    most = std::max(most, turns_since_[static_cast<std::size_t>(sequence)]);
  }
  return std::min((most + turns + tail_step - 1) / tail_step * tail_step, sizes_.tail);
}

void sequence_batch::make_step(const row_set& set, std::int64_t tail) {
  const model_config& config = model_->config;
  step_rows rows;
  rows.sequences = set.sequences;
  rows.lengths = state_.lengths();
  rows.prefix = caches_.longest_prefix();
  rows.tail = tail;
  rows.table_rows = places_.flatten().index_select(0, set.first_place.add(rows.lengths.index_select(0, set.sequences)));
  rows.all = set.listed.size() == static_cast<std::size_t>(sizes_.sequences()) && std::ranges::is_sorted(set.listed);
  slot_attention attention(config, rows);
  const auto attend = [&](std::int64_t layer, const transformer::projections& fresh) {
    const auto by_token = [](const at::Tensor& x) { return x[0].transpose(0, 1); };  // [rows, heads, head_dim]
    const layer_buffers& buffers = caches_.buffers(layer);
    const at::Tensor q =
        attention.keep(buffers, by_token(fresh.q), by_token(fresh.k), by_token(fresh.v), rotations_.table(layer),
                       rotations_.geometry()[static_cast<std::size_t>(layer)]);
    return attention.attend(layer, buffers, caches_.slots_of(layer), q).transpose(0, 1).unsqueeze(0);
  };
  const at::Tensor tokens = state_.tokens().index_select(0, set.sequences).unsqueeze(0);
  const at::Tensor hidden = decoder_states(config, model_->weights, tokens, attend);
  state_.choose(vocabulary_logits(config, model_->weights, hidden[0]), set.sequences);
}

}  // namespace kvtransfer::detail
