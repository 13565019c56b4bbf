#include "experiment/run/run_records.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "experiment/named_errors.hpp"

namespace kvtransfer::detail {

run_records::run_records(results& run, const std::vector<ready_condition>& conditions) : run_(run) {
  for (std::size_t t = 0; t < run_.tests.size(); ++t) {
    test_record& test = run_.tests[t];
    test.conditions.clear();
    for (std::size_t c = 0; c < conditions.size(); ++c) {
      const ready_condition& each = conditions[c];
      condition_record record{
          each.condition.describe().id, why_not_applicable(test.test, each.condition, each.prompts[t]), {}};
      if (!record.not_applicable) {
        record.inputs_digest =
            naming(place_of(test.test, each.condition), [&] { return each.condition.depends_on(each.prompts[t]); });
      }
      record.trials.resize(record.not_applicable ? 0 : static_cast<std::size_t>(run_.settings.trials));
      for (std::size_t i = 0; i < record.trials.size(); ++i) {
        cells_.push_back({t, c, static_cast<std::int64_t>(i)});
      }
      test.conditions.push_back(std::move(record));
    }
  }
}

std::vector<cell> run_records::unfinished(const journal& finished) const {
  std::vector<cell> waiting;
  std::ranges::copy_if(cells_, std::back_inserter(waiting),
                       [&](const cell& where) { return finished.find(key_of(where)) == nullptr; });
  return waiting;
}

trial_record& run_records::record_of(const cell& where) {
  return run_.tests[where.test].conditions[where.condition].trials[static_cast<std::size_t>(where.trial)];
}

trial_key run_records::key_of(const cell& where) const {
  const test_record& test = run_.tests[where.test];
  const condition_record& condition = test.conditions[where.condition];
  return {test.test.name, condition.id, where.trial, condition.inputs_digest};
}

const trial_record* run_records::reference_of(const cell& where, const journal& finished) const {
  const std::optional<std::string>& reference = run_.conditions[where.condition].reference;
  for (std::size_t c = 0; c < run_.conditions.size() && reference; ++c) {
    if (run_.conditions[c].id == *reference) {
      return finished.find(key_of({where.test, c, where.trial}));
    }
  }
  return nullptr;
}

std::uint64_t run_records::seed_of(const cell& where) const {
  return run_.settings.seed + static_cast<std::uint64_t>(where.trial);
}

}  // namespace kvtransfer::detail
