#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "model/architectures/architecture.hpp"

namespace kvtransfer::detail {

const architecture_registry& standard_architectures() {
  static const architecture_registry known = [] {
    architecture_registry all("config.json", "architectures");
    all.add("LlamaForCausalLM", llama());
    all.add("MistralForCausalLM", mistral());
    all.add("Qwen2ForCausalLM", qwen2());
    all.add("Qwen3ForCausalLM", qwen3());
    all.add("Phi3ForCausalLM", phi3());
    all.add("Gemma2ForCausalLM", gemma2());
    all.add("Gemma3ForCausalLM", gemma3_text());
    all.add("Gemma3ForConditionalGeneration", gemma3());
    all.add("SmolLM3ForCausalLM", smollm3());
    return all;
  }();
  return known;
}

const architecture_registry::entry& find_architecture(const architecture_registry& known, const json_fields& fields) {
  const nlohmann::json* named = fields.find("architectures");
  const std::string model_type = fields.string("model_type", "");
  std::string all;
  for (const architecture_registry::entry& entry : known) {
    const bool by_architecture = named != nullptr && *named == nlohmann::json::array({entry.name});
    const bool by_type = model_type == entry.make.model_type;
    if ((by_architecture && (by_type || model_type.empty())) || (by_type && named == nullptr)) {
      return entry;
    }
    all += fmt::format("{}{} ({})", all.empty() ? "one of " : ", ", entry.name, entry.make.model_type);
  }
  fields.refuse(named != nullptr ? "architectures" : "model_type", all);
}

}  // namespace kvtransfer::detail
