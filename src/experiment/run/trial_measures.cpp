#include "experiment/run/trial_measures.hpp"

namespace kvtransfer::detail {

trial_measures::trial_measures(const causal_lm& model, const prompt_encoding& encoding,
                               const std::vector<ready_condition>& conditions, run_records& records,
                               const generation_config& settings, const batching& how)
    : model_(model), encoding_(encoding), conditions_(conditions), records_(records), settings_(settings), how_(how) {}

trial_measures::oracle_key trial_measures::oracle_of(const cell& where) const {
  return {where.test, ids_of(conditions_[where.condition].prompts[where.test].whole())};
}

void trial_measures::ask_oracles(const std::vector<cell>& cells) {
  last_.clear();
  oracles_.clear();
  std::vector<oracle_key> asked;
  std::vector<oracle_question> questions;
  for (const cell& where : cells) {
    if (const auto [oracle, is_new] = oracles_.try_emplace(oracle_of(where)); is_new) {
      asked.push_back(oracle->first);
      questions.push_back({&records_.test_of(where), &conditions_[where.condition].prompts[where.test]});
    }
  }
  std::vector<std::optional<oracle_reference>> answers = read_oracles(model_, encoding_, questions, settings_, how_);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    oracles_.at(asked[i]) = std::move(answers[i]);
  }
}

void trial_measures::add(const cell& where, const plan& input) {
  plan_identity identity(input);
  std::shared_ptr<measured_plan>& last = last_[{where.test, where.condition}];
  if (last == nullptr || !last->identity.is_like(identity)) {
    const std::optional<oracle_reference>& oracle = oracles_.at(oracle_of(where));
    last = std::make_shared<measured_plan>(measured_plan{input, std::move(identity), oracle ? &*oracle : nullptr});
    not_measured_.push_back(last);
  }
  asking_.emplace_back(where, last);
}

void trial_measures::measure_all() {
  std::vector<measured_input> inputs;
  for (const std::shared_ptr<measured_plan>& each : not_measured_) {
    if (each->oracle != nullptr) {
      inputs.push_back({each->oracle, &each->input, &each->trial});
    }
  }
  measure_along(model_, inputs, how_);
  for (const std::shared_ptr<measured_plan>& each : not_measured_) {
    each->input = {};
  }
  for (const auto& [where, measured] : asking_) {
    records_.record_of(where).marker_log_prob = measured->trial.marker_log_prob;
    records_.record_of(where).next_token_kl = measured->trial.next_token_kl;
  }
  not_measured_.clear();
  asking_.clear();
}

}  // namespace kvtransfer::detail
