#include "experiment/summary_json.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "experiment/records_json.hpp"

namespace kvtransfer::detail {

namespace {

template <class Value>
nlohmann::ordered_json value_or_null(const std::optional<Value>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

nlohmann::ordered_json estimate_json(const statistics::mean_estimate& estimate) {
  const statistics::interval range = statistics::interval_of(estimate);
  return {{"mean", estimate.mean}, {"low", range.low}, {"high", range.high}};
}

nlohmann::ordered_json cell_json(const condition_summary& row) {
  return {{"condition", row.condition},
          {"variant", text_or_null(row.variant)},
          {"n", row.prompts},
          {"success", row.success.rate},
          {"success_low", row.success.range.low},
          {"success_high", row.success.range.high},
          {"stalled", row.stalled.rate},
          {"stalled_low", row.stalled.range.low},
          {"stalled_high", row.stalled.range.high},
          {"marker_log_prob", value_or_null(row.marker_log_prob)}};
}

nlohmann::ordered_json recovery_json(const content_recovery& row) {
  nlohmann::ordered_json value = {{"condition", row.condition},
                                  {"variant", text_or_null(row.variant)},
                                  {"metric", row.metric},
                                  {"n", row.outcome.content.prompts},
                                  {"presence", estimate_json(row.outcome.presence)},
                                  {"content", estimate_json(row.outcome.content)},
                                  {"possible", estimate_json(row.outcome.possible)},
                                  {"recovered_share", nullptr}};
  if (row.outcome.share) {
    value["recovered_share"] = {{"share", row.outcome.share->share},
                                {"low", row.outcome.share->range.low},
                                {"high", row.outcome.share->range.high}};
  }
  return value;
}

nlohmann::ordered_json effects_json(const factor_table& table) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  std::size_t main_effects = 0;
  for (const statistics::factor_effect& effect : table.effects) {
    nlohmann::ordered_json row = {{"factor", effect.factor},           {"with", value_or_null(effect.with)},
                                  {"effect", effect.estimate.mean},    {"low", effect.range.low},
                                  {"high", effect.range.high},         {"p", effect.p},
                                  {"p_sign_flip", effect.p_sign_flip}, {"p_holm", effect.p_holm}};
    if (!effect.with) {
      row["from"] = table.low.at(main_effects);
      row["to"] = table.high.at(main_effects++);
    }
    rows.push_back(std::move(row));
  }
  return {{"metric", table.metric}, {"variant", text_or_null(table.variant)}, {"effects", std::move(rows)}};
}

}  // namespace

nlohmann::ordered_json to_json_value(const statistics::paired_comparison& outcome) {
  const auto low = outcome.equivalence_range ? std::optional(outcome.equivalence_range->low) : std::nullopt;
  const auto high = outcome.equivalence_range ? std::optional(outcome.equivalence_range->high) : std::nullopt;
  return {{"a", outcome.a},
          {"b", outcome.b},
          {"metric", outcome.metric},
          {"n", outcome.n},
          {"clusters", outcome.clusters},
          {"both", value_or_null(outcome.both)},
          {"only_a", value_or_null(outcome.only_a)},
          {"only_b", value_or_null(outcome.only_b)},
          {"neither", value_or_null(outcome.neither)},
          {"difference", outcome.difference},
          {"low", value_or_null(outcome.low)},
          {"high", value_or_null(outcome.high)},
          {"method", to_string(outcome.method)},
          {"p", outcome.p},
          {"p_exact", outcome.p_exact},
          {"p_mid", value_or_null(outcome.p_mid)},
          {"p_holm", outcome.p_holm},
          {"margin", value_or_null(outcome.margin)},
          {"p_equivalence", value_or_null(outcome.p_equivalence)},
          {"p_equivalence_holm", value_or_null(outcome.p_equivalence_holm)},
          {"equivalence_low", value_or_null(low)},
          {"equivalence_high", value_or_null(high)},
          {"smallest_effect", value_or_null(outcome.smallest_effect)},
          {"verdict", to_string(outcome.verdict)}};
}

nlohmann::ordered_json summary_json(const results& run, const run_summary& summary) {
  nlohmann::ordered_json document = {{"schema_version", results_schema_version},
                                     {"program", to_json_value(run.program)},
                                     {"cost", to_json_value(run.cost)},
                                     {"model", to_json_value(run.model)},
                                     {"settings", to_json_value(run.settings)},
                                     {"suite",
                                      {{"name", run.suite_name},
                                       {"digest", text_or_null(run.suite_digest)},
                                       {"metric", run.metric},
                                       {"tests", run.tests.size()}}}};
  const auto list = [&](const char* key, const auto& rows, auto&& to_json) {
    document[key] = nlohmann::ordered_json::array();
    for (const auto& row : rows) {
      document[key].push_back(to_json(row));
    }
  };
  list("comparisons", summary.comparisons, [](const condition_comparison& row) {
    nlohmann::ordered_json value = to_json_value(row.outcome);
    value["variant"] = text_or_null(row.variant);
    return value;
  });
  list("cells", summary.cells, cell_json);
  list("variants", summary.variants, [](const variant_comparison& row) {
    nlohmann::ordered_json value = to_json_value(row.outcome);
    value["condition"] = row.condition;
    return value;
  });
  list("recoveries", summary.recoveries, recovery_json);
  list("factors", summary.factors, effects_json);
  document["left_out"] = to_json_value(run.left_out);
  return document;
}

}  // namespace kvtransfer::detail
