#include "experiment/run/parcel_runner.hpp"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "experiment/named_errors.hpp"
#include "experiment/trial.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "model/injected_memory.hpp"
#include "model/lack_of_memory.hpp"
#include "model/plan_checks.hpp"

namespace kvtransfer::detail {

namespace {

/// Trials that are made ready, and measured, together at most: fewer where what they inject takes much memory.
constexpr std::size_t most_prepared = 128;

generation_config settings_for(const run_settings& settings, const causal_lm& model) {
  generation_config generation;
  generation.max_new_tokens = settings.max_new_tokens;
  generation.temperature = settings.temperature;
  generation.eos_token_ids = model.config.eos_token_ids;  // none where its files name none, as in transformers
  return generation;
}

}  // namespace

parcel_runner::parcel_runner(const causal_lm& model, const prompt_encoding& encoding,
                             const std::vector<ready_condition>& conditions, run_records& records, const batching& how,
                             std::function<void(const cell&)> finish)
    : encoding_(encoding),
      conditions_(conditions),
      records_(records),
      how_(how),
      finished_(std::move(finish)),
      settings_(settings_for(records.run().settings, model)),
      memory_(memory_for_batch(model, how)),
      caches_(model, std::min(prompt_caches::usual_bytes, memory_.kept), how),
      measures_(model, encoding, conditions, records, settings_, how_) {}

/// Those whose prompts have to be continued first come last, when as many of those continuations are made together as
/// are kept.
void parcel_runner::run(const std::vector<cell>& cells) {
  measures_.ask_oracles(cells);
  caches_.defer_continuations(true);
  for (std::vector<cell> left = generate_for(cells); !left.empty();) {
    caches_.make_deferred();
    std::vector<cell> deferred = generate_for(left);
    if (deferred.size() == left.size()) {  // each needs more than one, or more than is kept
      caches_.defer_continuations(false);
      deferred = generate_for(left);
      caches_.defer_continuations(true);
    }
    left = std::move(deferred);
  }
  caches_.defer_continuations(false);
}

/// @return those that wait for a continuation
std::vector<cell> parcel_runner::generate_for(const std::vector<cell>& cells) {
  std::vector<cell> begun;
  std::vector<cell> deferred;
  std::deque<prepared_trial> ready;
  auto next = cells.begin();
  const request_source source = [&]() -> std::optional<generation_request> {
    if (ready.empty()) {
      injected_memory held;
      for (; next != cells.end() && ready.size() < most_prepared && (held.bytes() < memory_.held || ready.empty());
           ++next) {
        try {
          ready.push_back(prepared(*next));
          held.add(ready.back().request.input);
        } catch (const continuation_deferred&) {
          deferred.push_back(*next);
        }
      }
      measures_.measure_all();
    }
    if (ready.empty()) {
      return std::nullopt;
    }
    prepared_trial trial = std::move(ready.front());
    ready.pop_front();
    begun.push_back(trial.where);
    return std::move(trial.request);
  };
  generate_many(
      caches_.model(), source,
      [&](std::size_t index, const generation_result& result) { finish(begun[index], result.said); }, how_);
  return deferred;
}

/// What a trial has the model read and continue; the record says so from here on.
parcel_runner::prepared_trial parcel_runner::prepared(const cell& where) {
  const ready_condition& ready = conditions_[where.condition];
  return naming(place_of(records_.test_of(where), ready.condition), [&] {
    prepared_input read = naming_lack_of_memory("prepare", caches_.model().device(), [&] {
      return ready.condition.prepare(caches_, ready.prompts[where.test], settings_of(where));
    });
    require_runnable(caches_.model(), read.input);
    records_.record_of(where) = record_of(read, records_.seed_of(where));
    measures_.add(where, read.input);
    return prepared_trial{where, {std::move(read.input), settings_of(where)}};
  });
}

void parcel_runner::finish(const cell& where, const completion& said) {
  trial_record& record = records_.record_of(where);
  record = with_completion(std::move(record), said, encoding_.tokens, records_.test_of(where));
  finished_(where);
}

generation_config parcel_runner::settings_of(const cell& where) const {
  generation_config settings = settings_;
  settings.seeds = {records_.seed_of(where)};
  return settings;
}

}  // namespace kvtransfer::detail
