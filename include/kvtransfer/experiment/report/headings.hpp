#pragma once

#include <fmt/format.h>

#include <string>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer {

/// `greedy` or `temperature 0.8`, then trials, seed and length.
inline std::string decoding_text(const run_settings& settings) {
  const std::string how = settings.temperature > 0 ? fmt::format("temperature {}", settings.temperature) : "greedy";
  return fmt::format("{}, {} {}, seed {}, up to {} new tokens", how, settings.trials,
                     settings.trials == 1 ? "trial" : "trials", settings.seed, settings.max_new_tokens);
}

/// The model in a line: name, architecture, sizes.
inline std::string model_text(const model_info& model) {
  return fmt::format("{}: {} layers, hidden {}, {} query heads, {} KV heads, head_dim {}, vocabulary {}",
                     model.architecture, model.layers, model.hidden_size, model.q_heads, model.kv_heads, model.head_dim,
                     model.vocab_size);
}

/// Device, dtype and quantization.
inline std::string machine_text(const program_info& program) {
  const std::string quantized = program.quantization == "none" ? "" : ", " + program.quantization;
  return fmt::format("{}, {}{}", program.device, program.dtype, quantized);
}

/// The rotary embedding in a line: every field that the record has.
inline std::string rope_text(const model_info& model) {
  std::string text;
  for (const auto& field : model.rope.items()) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", field.key(),
                        field.value().is_string() ? field.value().template get<std::string>() : field.value().dump());
  }
  return text;
}

/// In which precision equality of tokens is claimed, and how to read a difference elsewhere.
inline std::string precision_note(const program_info& program) {
  return program.dtype == "float32" ? "Equality of tokens is claimed in float32, as here."
                                    : fmt::format(
                                          "Equality of tokens is claimed in float32; in {} rounding may turn a close "
                                          "choice, so the top-2 margin "
                                          "at the first difference says how close it was.",
                                          program.dtype);
}

}  // namespace kvtransfer
