#include "experiment/report/headings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "experiment/records_json.hpp"

namespace kvtransfer::detail {

std::string decoding_text(const run_settings& settings) {
  const std::string how = settings.temperature > 0 ? fmt::format("temperature {}", settings.temperature) : "greedy";
  return fmt::format("{}, {} {}, seed {}, up to {} new tokens", how, settings.trials,
                     settings.trials == 1 ? "trial" : "trials", settings.seed, settings.max_new_tokens);
}

std::string model_text(const model_info& model) {
  return fmt::format("{}: {} layers, hidden {}, {} query heads, {} KV heads, head_dim {}, vocabulary {}",
                     model.architecture, model.layers, model.hidden_size, model.q_heads, model.kv_heads, model.head_dim,
                     model.vocab_size);
}

std::string machine_text(const program_info& program) {
  const std::string quantized = program.quantization == "none" ? "" : ", " + program.quantization;
  return fmt::format("{}, {}{}", program.device, program.dtype, quantized);
}

std::string rope_text(const model_info& model) {
  std::string text;
  const nlohmann::ordered_json rope = rope_json(model);
  for (const auto& field : rope.items()) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", field.key(),
                        field.value().is_string() ? field.value().template get<std::string>() : field.value().dump());
  }
  return text;
}

std::string precision_note(const program_info& program) {
  return program.dtype == "float32" ? "Equality of tokens is claimed in float32, as here."
                                    : fmt::format(
                                          "Equality of tokens is claimed in float32; in {} rounding may turn a close "
                                          "choice, so the top-2 margin "
                                          "at the first difference says how close it was.",
                                          program.dtype);
}

std::string origin_note(const results& run) {
  std::string note;
  for (const auto& [basis, reason] :
       {std::pair{origin_basis::same_weights, "that a model with another digest wrote"},
        std::pair{origin_basis::unknown_origin, "that do not say which model wrote them"}}) {
    std::vector<std::string_view> conditions;
    for (const condition_description& condition : run.conditions) {
      const bool any = std::ranges::any_of(run.tests, [&](const test_record& test) {
        const condition_record* record = test.find(condition.id);
        return record != nullptr &&
               std::ranges::any_of(record->trials, [&](const trial_record& trial) { return trial.origin == basis; });
      });
      if (any) {
        conditions.emplace_back(condition.id);
      }
    }
    if (!conditions.empty()) {
      note += fmt::format("{}{} read caches {}: they were taken for this model's because the caller said so ({}).",
                          note.empty() ? "" : " ", fmt::join(conditions, ", "), reason, to_string(basis));
    }
  }
  return note;
}

}  // namespace kvtransfer::detail
