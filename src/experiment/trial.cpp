#include "experiment/trial.hpp"

#include "kvtransfer/experiment/metrics.hpp"
#include "model/plan_frame.hpp"

namespace kvtransfer::detail {

namespace {

/// What a plan puts in front of the first generated token of its first sequence, slot by slot.
struct placed_slots {
  std::vector<std::int64_t> token_ids;  ///< -1 where not known
  std::vector<std::int64_t> positions;

  void add(const position_row& row, const std::vector<std::int64_t>* ids) {
    std::size_t i = 0;
    for (const position_run& slot : row.one_run_per_slot()) {
      const std::int64_t id = ids == nullptr ? -1 : (*ids)[i];
      ++i;
      if (!slot.state.is_padding()) {
        token_ids.push_back(id);
        positions.push_back(slot.first);
      }
    }
  }
};

/// The injected slots of the layer that has the most, then the plan's own tokens.
placed_slots placed(const plan& input) {
  std::int64_t fullest = 0;
  for (std::int64_t layer = 0; layer < static_cast<std::int64_t>(input.layers.size()); ++layer) {
    fullest = input.injected(layer) > input.injected(fullest) ? layer : fullest;
  }
  placed_slots slots;
  for (const segment& part : input.segments(fullest)) {
    const auto& ids = part.origin().token_ids();
    slots.add(part.kv().frame().positions.row(0, 0, 0), ids.empty() ? nullptr : &ids.front());
  }
  if (input.positions.batch() > 0) {
    slots.add(input.positions.row(0, 0, 0), &padded_ids(input.token_ids).front());
  }
  return slots;
}

}  // namespace

sequence located(sequence parts, const plan& input) {
  const placed_slots slots = placed(input);
  if (static_cast<std::int64_t>(slots.positions.size()) != length_of(parts)) {
    return parts;  // some of it is in no layer, or hidden
  }
  std::size_t next = 0;
  for (sequence_part& part : parts) {
    bool known = part.role != token_role::noise;
    for (std::int64_t i = 0; i < part.tokens; ++i, ++next) {
      const std::int64_t position = slots.positions[next];
      if (part.positions.empty() || part.positions.back().end() != position) {
        part.positions.push_back({position, 0});
      }
      ++part.positions.back().count;
      part.token_ids.push_back(slots.token_ids[next]);
      known = known && slots.token_ids[next] >= 0;
    }
    if (!known) {
      part.token_ids.clear();
    }
  }
  return parts;
}

trial_record record_of(const prepared_input& read, std::uint64_t seed) {
  trial_record trial;
  trial.seed = seed;
  trial.read = located(read.parts, read.input);
  trial.assumed_frame = read.input.assumed();
  for (const cache_edit& edit : read.input.edits()) {
    trial.edits.push_back(describe(edit));
  }
  trial.origin = read.input.basis();
  return trial;
}

trial_record with_completion(trial_record trial, const completion& made, const any_tokenizer& text,
                             const test_case& test) {
  trial.token_ids = made.token_ids;
  trial.text = text.decode(made.token_ids);
  trial.markers_found = markers_found(trial.text, test);
  trial.forbidden_found = forbidden_found(trial.text, test);
  trial.stop = made.stop;
  trial.stalled = is_stalled(made.stop == stop_reason::eos, static_cast<std::int64_t>(made.token_ids.size()));
  trial.top2_margins.assign(made.top2_margins.begin(), made.top2_margins.end());
  trial.close_calls = made.close_calls;
  return trial;
}

}  // namespace kvtransfer::detail
