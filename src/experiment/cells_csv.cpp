#include "experiment/cells_csv.hpp"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "experiment/record_line.hpp"
#include "experiment/records_json.hpp"
#include "kvtransfer/experiment/comparison.hpp"

namespace kvtransfer::detail {

namespace {

std::string csv_field(const nlohmann::ordered_json& value) {
  std::string text;
  if (value.is_string()) {
    text = value.get<std::string>();
  } else if (value.is_array()) {
    for (const auto& each : value) {
      text.append(text.empty() ? "" : "; ").append(each.get<std::string>());
    }
  } else if (!value.is_null()) {
    text = value.dump();
  }
  if (text.find_first_of(",\"\r\n") == text.npos) {
    return text;
  }
  std::string quoted = "\"";
  for (const char letter : text) {
    quoted += letter;
    if (letter == '"') {
      quoted += letter;
    }
  }
  return quoted + '"';
}

/// The columns of one trial, but for those of the run, which every line repeats.
nlohmann::ordered_json cell_columns(const results& run, const test_record& test, const condition_record& record,
                                    std::size_t trial) {
  const condition_description* condition = run.find_condition(record.id);
  nlohmann::ordered_json columns = test_columns(test.test);
  if (condition != nullptr) {
    append_columns(columns, condition_columns(*condition));
  }
  columns["inputs_digest"] = text_or_null(record.inputs_digest);
  columns["trial"] = trial;
  columns["seed"] = record.trials[trial].seed;
  append_columns(columns, outcome_columns(test.test, record.trials[trial]));
  const condition_record* reference =
      condition != nullptr && condition->reference ? test.find(*condition->reference) : nullptr;
  columns["reference"] = reference == nullptr ? nullptr : nlohmann::ordered_json(reference->id);
  columns["first_divergence"] = reference == nullptr || trial >= reference->trials.size()
                                    ? nlohmann::ordered_json()
                                    : divergence_column(difference_from(record.trials[trial], reference->trials[trial],
                                                                        static_cast<std::int64_t>(trial)));
  return columns;
}

}  // namespace

std::string cells_csv(const results& run) {
  const nlohmann::ordered_json origin = origin_columns(run);
  nlohmann::ordered_json behind = {{"model_digest", run.model.identity.digest.text()},
                                   {"tokenizer_digest", run.model.identity.tokenizer},
                                   {"version", run.program.version},
                                   {"dtype", run.program.dtype},
                                   {"prompt_form", run.settings.prompt_form},
                                   {"temperature", run.settings.temperature}};
  append_columns(behind, origin);
  behind.erase("suite");
  const auto row_of = [&](const test_record& test, const condition_record& record, std::size_t trial) {
    nlohmann::ordered_json row = {{"suite", origin.at("suite")}};
    append_columns(row, cell_columns(run, test, record, trial));
    append_columns(row, behind);
    return row;
  };
  nlohmann::ordered_json heading = nlohmann::ordered_json::object();  // a condition's trials have the same columns
  for (const test_record& test : run.tests) {
    for (const condition_record& record : test.conditions) {
      if (!record.trials.empty()) {
        append_columns(heading, row_of(test, record, 0));
      }
    }
  }
  std::string text;
  for (const auto& column : heading.items()) {
    text.append(text.empty() ? "" : ",").append(csv_field(column.key()));
  }
  text += '\n';
  for (const test_record& test : run.tests) {
    for (const condition_record& record : test.conditions) {
      for (std::size_t trial = 0; trial < record.trials.size(); ++trial) {
        const nlohmann::ordered_json row = row_of(test, record, trial);
        for (const auto& column : heading.items()) {
          text += column.key() == "suite" ? "" : ",";
          text += row.contains(column.key()) ? csv_field(row.at(column.key())) : "";
        }
        text += '\n';
      }
    }
  }
  return text;
}

}  // namespace kvtransfer::detail
