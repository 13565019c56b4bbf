#include "experiment/report/headings.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

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

}  // namespace kvtransfer::detail
