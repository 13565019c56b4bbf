#include "model/architectures/blocks.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <nlohmann/json.hpp>

namespace kvtransfer::detail {

gate_activation read_activation(const json_fields& fields, std::string_view key, std::string_view otherwise) {
  const std::string name = fields.string(key, otherwise);
  if (name == "silu" || name == "swish") {
    return gate_activation::silu;
  }
  if (name == "gelu") {
    return gate_activation::gelu;
  }
  if (name == "gelu_pytorch_tanh") {
    return gate_activation::gelu_tanh;
  }
  fields.refuse(key, "silu, gelu or gelu_pytorch_tanh");
}

void set_attention_bias(const json_fields& fields, model_config& config) {
  config.qkv_bias = config.output_bias = fields.boolean("attention_bias", false);
}

void set_llama_blocks(const json_fields& fields, model_config& config) {
  set_attention_bias(fields, config);
  config.mlp_bias = fields.boolean("mlp_bias", false);
  config.activation = read_activation(fields, "hidden_act", "silu");
}

void set_scale(const json_fields& fields, std::string_view key, double otherwise, model_config& config) {
  const double scalar = fields.positive_number(key, otherwise);
  for (attention_specification& layer : config.attention) {
    layer.scale = 1 / std::sqrt(scalar);
  }
}

void set_window_everywhere(const json_fields& fields, std::optional<std::int64_t> otherwise, model_config& config) {
  const std::optional<std::int64_t> window = fields.has("sliding_window")
                                                 ? std::optional(fields.size("sliding_window"))
                                                 : (fields.is_null("sliding_window") ? std::nullopt : otherwise);
  for (attention_specification& layer : config.attention) {
    layer.window = window;
  }
}

void set_windows(const json_fields& fields, const std::vector<std::string>& types, std::optional<std::int64_t> window,
                 model_config& config) {
  if (types.size() != config.attention.size()) {
    fields.refuse("layer_types", fmt::format("one type for each of {} layers", config.attention.size()));
  }
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i] != "full_attention" && types[i] != "sliding_attention") {
      fields.refuse("layer_types", "full_attention or sliding_attention");
    }
    if (types[i] == "sliding_attention" && !window) {
      fields.refuse("sliding_window", "the window of the layers with sliding_attention");
    }
    config.attention[i].window = types[i] == "sliding_attention" ? window : std::nullopt;
  }
}

std::vector<std::string> listed_layer_types(const json_fields& fields) { return fields.strings("layer_types"); }

std::vector<std::string> alternating_layer_types(std::int64_t layers, std::int64_t period) {
  std::vector<std::string> types;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    types.emplace_back((layer + 1) % period == 0 ? "full_attention" : "sliding_attention");
  }
  return types;
}

void set_windows_from_layer(const json_fields& fields, std::int64_t first_without_key, model_config& config) {
  const bool on = fields.boolean("use_sliding_window", false);
  const bool none = fields.is_null("sliding_window") || !on;
  const std::int64_t size = fields.size("sliding_window", 4096);
  const std::optional<std::int64_t> window = none ? std::nullopt : std::optional(size);
  const std::int64_t first = fields.count("max_window_layers", first_without_key);
  std::vector<std::string> types = listed_layer_types(fields);
  for (std::int64_t layer = 0; !fields.has("layer_types") && layer < config.layers; ++layer) {
    types.emplace_back(window && layer >= first ? "sliding_attention" : "full_attention");
  }
  set_windows(fields, types, window, config);
}

void set_gemma_blocks(const json_fields& fields, model_config& config) {
  set_attention_bias(fields, config);
  config.activation = read_activation(fields, "hidden_activation", "gelu_pytorch_tanh");
  (void)fields.string("hidden_act", "");  // in Gemma 2's files beside the other, and nowhere read
  config.norms_outputs = true;
  config.norms_add_one = true;
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden_size));
  set_scale(fields, "query_pre_attn_scalar", 256, config);
  if (fields.boolean("use_bidirectional_attention", false)) {
    fields.refuse("use_bidirectional_attention", "false: a token sees what stands before it");
  }
}

void set_gemma_windows(const json_fields& fields, std::int64_t period, model_config& config) {
  const std::optional<std::int64_t> window =
      fields.is_null("sliding_window") ? std::nullopt : std::optional(fields.size("sliding_window", 4096));
  const std::vector<std::string> listed = listed_layer_types(fields);
  set_windows(fields, fields.has("layer_types") ? listed : alternating_layer_types(config.layers, period), window,
              config);
}

void require_only(const json_fields& fields, std::string_view key, const nlohmann::json& only) {
  const nlohmann::json* value = fields.find(key);
  if (value != nullptr && *value != only) {
    fields.refuse(key, only.dump());
  }
}

}  // namespace kvtransfer::detail
