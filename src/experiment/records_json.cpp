#include "experiment/records_json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experiment/json_pieces.hpp"
#include "experiment/trial_json.hpp"

namespace kvtransfer::detail {

nlohmann::ordered_json text_or_null(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
}

nlohmann::ordered_json to_json_value(const run_settings& settings) {
  return {{"model", settings.model},
          {"device", settings.device},
          {"dtype", settings.dtype},
          {"quantize", settings.quantize},
          {"threads", settings.threads},
          {"prompt_form", settings.prompt_form},
          {"system", settings.system},
          {"suite", settings.suite},
          {"conditions", settings.conditions},
          {"factors", text_or_null(settings.factors)},
          {"sweep", text_or_null(settings.sweep)},
          {"trials", settings.trials},
          {"temperature", settings.temperature},
          {"seed", settings.seed},
          {"max_new_tokens", settings.max_new_tokens},
          {"output", settings.output},
          {"resume", settings.resume},
          {"margin", settings.margin}};
}

nlohmann::ordered_json to_json_value(const program_info& program) {
  return {{"version", program.version},
          {"commit", text_or_null(program.commit)},
          {"command", text_or_null(program.command)},
          {"date", text_or_null(program.date)},
          {"libtorch", program.libtorch},
          {"device", program.device},
          {"dtype", program.dtype},
          {"quantization", program.quantization},
          {"threads", program.threads},
          {"seconds", program.seconds}};
}

nlohmann::ordered_json to_json_value(const run_cost& cost) {
  return {{"trials", cost.trials},
          {"tokens", cost.tokens},
          {"seconds", cost.seconds},
          {"tokens_per_second", tokens_per_second(cost)},
          {"processes", cost.processes},
          {"peak_host_bytes", cost.peak_host_bytes},
          {"peak_device_bytes",
           cost.peak_device_bytes ? nlohmann::ordered_json(*cost.peak_device_bytes) : nlohmann::ordered_json()}};
}

nlohmann::ordered_json rope_json(const model_info& model) {
  return model.rope.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json::parse(model.rope);
}

nlohmann::ordered_json to_json_value(const model_info& model) {
  return {{"path", model.path},
          {"architecture", model.architecture},
          {"layers", model.layers},
          {"hidden_size", model.hidden_size},
          {"q_heads", model.q_heads},
          {"kv_heads", model.kv_heads},
          {"head_dim", model.head_dim},
          {"vocab_size", model.vocab_size},
          {"rope", rope_json(model)},
          {"digest", model.identity.digest.text()},
          {"tokenizer_digest", text_or_null(model.identity.tokenizer)}};
}

nlohmann::ordered_json to_json_value(statistics::proportion observed, bool with_interval) {
  nlohmann::ordered_json value = {
      {"count", observed.successes}, {"trials", observed.trials}, {"rate", observed.rate()}};
  if (with_interval) {
    const statistics::interval wilson = statistics::wilson(observed);
    value["wilson_95"] = {wilson.low, wilson.high};
  }
  return value;
}

nlohmann::ordered_json to_json_value(const comparison& compared) {
  nlohmann::ordered_json value = {{"reference", compared.reference},
                                  {"trials", compared.trials},
                                  {"equal", compared.equal},
                                  {"first_divergence", nullptr}};
  if (compared.first) {
    const auto optional_json = [](const auto& maybe) { return maybe ? nlohmann::ordered_json(*maybe) : nullptr; };
    value["first_divergence"] = {{"trial", compared.first->trial},
                                 {"step", compared.first->at.step},
                                 {"token", optional_json(compared.first->at.token)},
                                 {"reference_token", optional_json(compared.first->at.reference_token)},
                                 {"top2_margin", optional_json(compared.first->margin)}};
  }
  return value;
}

/// The weakest reason for which one of the trials took a cache for the model's.
origin_basis weakest_origin(const condition_record& record) {
  origin_basis weakest = origin_basis::recorded;
  for (const trial_record& trial : record.trials) {
    weakest = std::max(weakest, trial.origin);
  }
  return weakest;
}

nlohmann::ordered_json to_json_value(const results& run, const test_record& test, const condition_record& record) {
  nlohmann::ordered_json value = {{"trials", nlohmann::ordered_json::array()}};
  if (record.not_applicable) {
    value["not_applicable"] = *record.not_applicable;
    return value;
  }
  nlohmann::ordered_json margins = nlohmann::ordered_json::array();
  for (const trial_record& trial : record.trials) {
    value["trials"].push_back(to_json_value(trial));
    margins.push_back(margins_to_json(trial.top2_margins));
  }
  const condition_description* description = run.find_condition(record.id);
  const bool draws = description != nullptr && trials_are_draws(run.settings, *description);
  value["marker_rates"] = nlohmann::ordered_json::object();
  for (const std::string& marker : test.test.markers) {
    value["marker_rates"][marker] = to_json_value(marker_proportion(record, marker), draws);
  }
  value["stalled_rate"] = to_json_value(stalled_proportion(record), draws);
  if (description != nullptr) {
    if (const auto compared = compare_with_reference(test, *description)) {
      value["comparison"] = to_json_value(*compared);
    }
  }
  value["assumed_frame"] =
      std::any_of(record.trials.begin(), record.trials.end(), [](const auto& each) { return each.assumed_frame; });
  for (const char* list : {"marker_log_prob", "next_token_kl", "edits"}) {
    value[list] = nlohmann::ordered_json::array();
  }
  for (const trial_record& trial : record.trials) {
    const auto number = [](const std::optional<double>& value) {
      return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
    };
    value["marker_log_prob"].push_back(number(trial.marker_log_prob));
    value["next_token_kl"].push_back(number(trial.next_token_kl));
    value["edits"].push_back(trial.edits);
  }
  value["origin"] = to_string(weakest_origin(record));
  value["inputs_digest"] = text_or_null(record.inputs_digest);
  value["top2_margins"] = std::move(margins);
  value["close_calls"] = nlohmann::ordered_json::array();
  for (const trial_record& trial : record.trials) {
    value["close_calls"].push_back(trial.close_calls);
  }
  return value;
}

nlohmann::ordered_json to_json_value(const test_case& test) {
  return {{"name", test.name}, {"source", test.source}, {"target", test.target}, {"markers", test.markers}};
}

nlohmann::ordered_json to_json_value(const std::vector<left_out_crossing>& left_out) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const left_out_crossing& each : left_out) {
    list.push_back({{"crossing", each.crossing}, {"reason", each.reason}});
  }
  return list;
}

namespace {

/// What stands in front of the tests.
nlohmann::ordered_json heading_json(const results& run) {
  return {{"schema_version", results_schema_version},
          {"program", to_json_value(run.program)},
          {"cost", to_json_value(run.cost)},
          {"model", to_json_value(run.model)},
          {"settings", to_json_value(run.settings)},
          {"suite", {{"name", run.suite_name}, {"digest", text_or_null(run.suite_digest)}}},
          {"left_out", to_json_value(run.left_out)}};
}

}  // namespace

nlohmann::ordered_json to_json_value(const results& run) {
  nlohmann::ordered_json document = heading_json(run);
  document["tests"] = nlohmann::ordered_json::array();
  for (const test_record& test : run.tests) {
    nlohmann::ordered_json conditions = nlohmann::ordered_json::object();
    for (const condition_record& record : test.conditions) {
      conditions[record.id] = to_json_value(run, test, record);
    }
    document["tests"].push_back(to_json_value(test.test));
    document["tests"].back()["conditions"] = std::move(conditions);
  }
  return document;
}

void write_report_json(const results& run, const std::function<void(std::string_view)>& write) {
  json_pieces document(write);
  document.begin_object();
  document.members(heading_json(run));
  document.key("tests");
  document.begin_array();
  for (const test_record& test : run.tests) {
    document.begin_object();
    document.members(to_json_value(test.test));
    document.key("conditions");
    document.begin_object();
    for (const condition_record& record : test.conditions) {
      document.key(record.id);
      document.value(to_json_value(run, test, record));
    }
    document.end();
    document.end();
  }
  document.end();
  document.end();
  write("\n");
}

}  // namespace kvtransfer::detail
