#include "model/decode_state.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "kvtransfer/tensor/kernel_table.hpp"
#include "model/draw_token.hpp"
#include "model/step_kernels.hpp"

namespace kvtransfer::detail {

namespace column = kernels::sequence_column;
namespace phase = kernels::sequence_phase;
namespace recorded = kernels::record_column;

namespace {

bool has_kernel_for(const at::Tensor& logits) {
  const at::ScalarType dtype = logits.scalar_type();
  return wants_gpu_kernels() && (dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf) &&
         has_kernel("kvtransfer::choose_tokens_", logits.device());
}

}  // namespace

decode_state::decode_state(std::int64_t sequences, std::int64_t most_choices, std::int64_t turns, at::Device device)
    : state_(at::zeros({sequences, column::eos}, at::TensorOptions().dtype(at::kLong).device(device))),
      draws_(at::zeros({sequences, 1 + std::max<std::int64_t>(most_choices, 1)}, state_.options().dtype(at::kDouble))),
      record_(at::zeros({turns, sequences, recorded::count}, draws_.options())),
      turn_(at::zeros({1}, state_.options())) {}

void decode_state::make_room_for_eos(const std::vector<begun_sequence>& begun) {
  std::size_t most = 0;
  for (const begun_sequence& each : begun) {
    most = std::max(most, each.settings->eos_token_ids.size());
  }
  const std::int64_t more = column::eos + static_cast<std::int64_t>(most) - state_.size(1);
  if (more > 0) {
    state_ = at::cat({state_, at::full({state_.size(0), more}, -1, state_.options())}, 1);
    ++version_;
  }
}

void decode_state::begin(const std::vector<begun_sequence>& begun) {
  if (begun.empty()) {
    return;
  }
  make_room_for_eos(begun);
  const auto count = static_cast<std::int64_t>(begun.size());
  const at::TensorOptions whole = at::TensorOptions().dtype(at::kLong);
  const at::Tensor places = at::empty({count}, whole);
  const at::Tensor states = at::full({count, state_.size(1)}, -1, whole);
  const at::Tensor draws = at::zeros({count, draws_.size(1)}, whole.dtype(at::kDouble));
  for (std::int64_t i = 0; i < count; ++i) {
    const begun_sequence& each = begun[static_cast<std::size_t>(i)];
    places.mutable_data_ptr<std::int64_t>()[i] = each.sequence;
    std::int64_t* const state = states.mutable_data_ptr<std::int64_t>() + i * states.size(1);
    state[column::token] = each.token;
    state[column::length] = 0;
    state[column::phase] = each.is_last ? phase::last : phase::going;
    state[column::choices] = 1;
    state[column::most] = each.most;
    state[column::reads_eos] = each.reads_eos ? 1 : 0;
    std::ranges::copy(each.settings->eos_token_ids, state + column::eos);
    double* const draw = draws.mutable_data_ptr<double>() + i * draws.size(1);
    draw[0] = each.settings->temperature;
    for (std::int64_t step = 1; draw[0] > 0 && step < each.most; ++step) {
      draw[1 + step] = uniform_draw(each.settings->seeds.front(), static_cast<std::uint64_t>(step));
    }
  }
  const at::Tensor where = places.to(state_.device());
  state_.index_copy_(0, where, states.to(state_.device()));
  draws_.index_copy_(0, where, draws.to(draws_.device()));
}

void decode_state::choose(const at::Tensor& logits, const at::Tensor& sequences) {
  if (has_kernel_for(logits)) {
    using signature = void(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                           const at::Tensor&, const at::Tensor&);
    static const auto called =
        c10::Dispatcher::singleton().findSchemaOrThrow("kvtransfer::choose_tokens_", "").typed<signature>();
    called.call(logits.contiguous(), sequences, state_, draws_, record_, turn_);
  } else if (logits.device().is_cpu()) {
    choose_on_host(logits, sequences);
  } else {
    decode_state there = *this;
    there.state_ = state_.cpu();
    there.draws_ = draws_.cpu();
    there.record_ = record_.cpu();
    there.turn_ = turn_.cpu();
    there.choose_on_host(logits.cpu(), sequences.cpu());
    state_.copy_(there.state_);
    record_.copy_(there.record_);
  }
  turn_.add_(1);
}

void decode_state::choose_on_host(const at::Tensor& logits, const at::Tensor& sequences) {
  std::int64_t* const states = state_.mutable_data_ptr<std::int64_t>();
  const double* const draws = draws_.const_data_ptr<double>();
  const std::int64_t* const whose = sequences.const_data_ptr<std::int64_t>();
  const std::int64_t turn = *turn_.const_data_ptr<std::int64_t>() % record_.size(0);
  double* const record = record_.mutable_data_ptr<double>() + turn * record_.size(1) * recorded::count;
  at::parallel_for(0, logits.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      std::int64_t* const state = states + whose[row] * state_.size(1);
      const double* const draw = draws + whose[row] * draws_.size(1);
      token_choice choice;
      if (state[column::phase] == phase::going) {
        choice = choose_at(logits[row].to(at::kFloat), draw[0], draw[0] > 0 ? draw[1 + state[column::choices]] : 0);
      }
      double* const told = record + whose[row] * recorded::count;
      told[recorded::token] =
          static_cast<double>(kernels::advance(state, state_.size(1) - column::eos, choice.token_id));
      told[recorded::margin] = choice.top2_margin;
      told[recorded::distance] = choice.boundary_distance;
    }
  });
}

std::vector<std::vector<std::optional<token_choice>>> decode_state::choices(std::int64_t turns) const {
  const at::Tensor record = record_.cpu();
  std::vector<std::vector<std::optional<token_choice>>> chosen;
  for (std::int64_t turn = turns_made_ - turns; turn < turns_made_; ++turn) {
    const double* const told =
        record.const_data_ptr<double>() + turn % record.size(0) * record.size(1) * recorded::count;
    auto& of_turn = chosen.emplace_back(static_cast<std::size_t>(record.size(1)));
    for (std::int64_t s = 0; s < record.size(1); ++s) {
      const double* const one = told + s * recorded::count;
      if (one[recorded::token] >= 0) {
        require_numbers(!std::isnan(one[recorded::margin]));
        of_turn[static_cast<std::size_t>(s)] = {static_cast<std::int64_t>(one[recorded::token]),
                                                static_cast<float>(one[recorded::margin]), one[recorded::distance]};
      }
    }
  }
  return chosen;
}

}  // namespace kvtransfer::detail
