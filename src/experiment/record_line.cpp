#include "experiment/record_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>

#include "experiment/records_json.hpp"
#include "kvtransfer/core/error.hpp"
#include "model/weights/digest.hpp"

namespace kvtransfer::detail {

namespace {

/// @param content of a line, its last brace left out
std::string seal_of(std::string_view content) {
  digest all;
  all.add(content);
  return fmt::format(R"(,"checksum":"{}"}})", all.text());
}

}  // namespace

nlohmann::ordered_json run_columns(const results& run) {
  const model_identity& model = run.model.identity;
  return {{"schema_version", results_schema_version},
          {"model_digest", model.digest.text()},
          {"tokenizer_digest", text_or_null(model.tokenizer)},
          {"quantization", model.quantization},
          {"adapter", model.adapter},
          {"configuration", model.configuration},
          {"rotary", model.rotary},
          {"max_position_embeddings", run.model.max_position_embeddings},
          {"bos_token_id", run.model.bos_token_id ? nlohmann::ordered_json(*run.model.bos_token_id) : nullptr},
          {"eos_token_ids", run.model.eos_token_ids},
          {"version", run.program.version},
          {"libtorch", run.program.libtorch},
          {"device", run.program.device},
          {"dtype", run.program.dtype},
          {"threads", run.program.threads},
          {"prompt_form", run.settings.prompt_form},
          {"system", run.settings.system},
          {"temperature", run.settings.temperature},
          {"max_new_tokens", run.settings.max_new_tokens},
          {"margin", run.settings.margin}};
}

nlohmann::ordered_json origin_columns(const results& run) {
  return {{"suite", run.suite_name},
          {"suite_digest", run.suite_digest},
          {"commit", text_or_null(run.program.commit)},
          {"command", text_or_null(run.program.command)},
          {"date", text_or_null(run.program.date)}};
}

nlohmann::ordered_json test_columns(const test_case& test) {
  return {{"test", test.name},
          {"test_digest", digest_of(test)},
          {"group", text_or_null(test.group)},
          {"item", text_or_null(test.item)},
          {"variant", text_or_null(test.variant)}};
}

nlohmann::ordered_json condition_columns(const condition_description& condition) {
  nlohmann::ordered_json columns = {{"condition", condition.id}};
  for (const auto& [factor, level] : condition.factors) {
    columns[factor] = level;
  }
  return columns;
}

nlohmann::ordered_json trial_columns(const trial_key& key, std::uint64_t seed) {
  return {{"inputs_digest", text_or_null(key.inputs)}, {"trial", key.trial}, {"seed", seed}};
}

record_place read_place(const json_reader& line) {
  return {{line.text("test"), line.text("condition"), line.member("trial").integer(0), line.text("inputs_digest", "")},
          line.text("test_digest")};
}

nlohmann::ordered_json outcome_columns(const test_case& test, const trial_record& trial) {
  const auto number = [](const std::optional<double>& value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
  };
  return {{"success", succeeded(test, trial)},
          {"markers_found", trial.markers_found},
          {"forbidden_found", trial.forbidden_found},
          {"marker_log_prob", number(trial.marker_log_prob)},
          {"next_token_kl", number(trial.next_token_kl)},
          {"stalled", trial.stalled},
          {"stop_reason", to_string(trial.stop)}};
}

nlohmann::ordered_json divergence_column(const std::optional<first_difference>& difference) {
  return difference ? nlohmann::ordered_json(difference->at.step) : nlohmann::ordered_json();
}

std::string sealed_text(const nlohmann::ordered_json& line) {
  std::string text = json_text(line);
  text.pop_back();
  return text + seal_of(text);
}

void require_sealed(std::string_view text, std::string_view where) {
  const std::size_t length = seal_of("").size();
  const std::string_view content = text.substr(0, text.size() - std::min(length, text.size()));
  const std::string_view seal = text.substr(content.size());
  const bool has_one = seal.starts_with(R"(,"checksum":")");
  require<file_error>(seal == seal_of(content), where, "checksum",
                      "that of the line as a run wrote it (delete the line, and a resumed run makes its trial again)",
                      has_one ? "that of another: the line was changed since" : "none at its end");
}

void append_columns(nlohmann::ordered_json& line, const nlohmann::ordered_json& more) {
  for (const auto& column : more.items()) {
    line[column.key()] = column.value();
  }
}

}  // namespace kvtransfer::detail
