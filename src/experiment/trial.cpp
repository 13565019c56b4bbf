#include "experiment/trial.hpp"

#include "kvtransfer/experiment/metrics.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"

namespace kvtransfer::detail {

trial_record record_of(const completion& made, const prepared_input& read, const any_tokenizer& text,
                       const test_case& test, std::uint64_t seed) {
  trial_record trial;
  trial.seed = seed;
  trial.token_ids = made.token_ids;
  trial.text = text.decode(made.token_ids);
  trial.markers_found = markers_found(trial.text, test.markers);
  trial.stop = made.stop;
  trial.stalled = is_stalled(made.stop == stop_reason::eos, static_cast<std::int64_t>(made.token_ids.size()));
  trial.top2_margins.assign(made.top2_margins.begin(), made.top2_margins.end());
  trial.read = read.parts;
  trial.assumed_frame = read.input.assumed();
  for (const cache_edit& edit : read.input.edits()) {
    trial.edits.push_back(describe(edit));
  }
  trial.origin = read.input.basis();
  return trial;
}

trial_record run_trial(const causal_lm& model, const any_tokenizer& text, const any_condition& condition,
                       const test_case& test, const prompt_ids& prompts, generation_config settings,
                       std::uint64_t seed) {
  settings.seeds = {seed};
  const prepared_input read = condition.prepare(model, prompts, settings);
  const generation_output made = generate(model, read.input, settings);
  return record_of(made.sequences.front(), read, text, test, seed);
}

}  // namespace kvtransfer::detail
