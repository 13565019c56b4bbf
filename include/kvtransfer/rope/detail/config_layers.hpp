#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/detail/architectures.hpp"

namespace kvtransfer::rope::detail {

/// True if `config[key]` is there and not null.
inline bool has(const nlohmann::json& config, std::string_view key) {
  return config.is_object() && config.contains(key) && !config.at(std::string(key)).is_null();
}

/// The first of `keys` that `config` has, as a whole number.
/// @throws value_error if it is none of them or not a number
inline std::int64_t whole_number(const nlohmann::json& config, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (has(config, key)) {
      require<value_error>(config.at(key).is_number_integer(), "config", key, "a whole number", config.at(key).dump());
      return config.at(key).get<std::int64_t>();
    }
  }
  fail<value_error>("config", *keys.begin(), "a whole number", "nothing");
}

/// Far more than any model has: a count beyond it is a mistake in the file.
inline constexpr std::int64_t most_layers = 10'000;

/// The number of layers, under any of its names.
inline std::int64_t layer_count(const nlohmann::json& config) {
  const std::int64_t layers = whole_number(config, {"num_hidden_layers", "n_layer", "num_layers"});
  require<value_error>(layers >= 0 && layers <= most_layers, "config", "num_hidden_layers",
                       fmt::format("0 to {}", most_layers), fmt::format("{}", layers));
  return layers;
}

/// `full_attention` or `sliding_attention` (or the config's own word) for every layer; empty where layers are alike.
/// @throws shape_error if the config lists fewer layers than it has
inline std::vector<std::string> layer_types(const nlohmann::json& config, const architecture& model) {
  const std::int64_t layers = layer_count(config);
  std::vector<std::string> types;
  if (has(config, "layer_types")) {
    types = config.at("layer_types").get<std::vector<std::string>>();
    require<shape_error>(static_cast<std::int64_t>(types.size()) >= layers, "config", "layer_types",
                         fmt::format("{} entries", layers), fmt::format("{}", types.size()));
    return types;
  }
  std::int64_t period = model.full_attention_every;
  for (const char* key : {"sliding_window_pattern", "global_attn_every_n_layers"}) {
    if (model.full_attention_every > 0 && has(config, key) && config.at(key).is_number_integer()) {
      period = config.at(key).get<std::int64_t>();
    } else if (model.full_attention_every > 0 && has(config, key) && config.at(key).is_string()) {
      period = static_cast<std::int64_t>(config.at(key).get<std::string>().size());
    }
  }
  for (std::int64_t layer = 0; period > 0 && layer < layers; ++layer) {
    const bool full = (model.full_attention_first ? layer : layer + 1) % period == 0;
    types.push_back(full ? "full_attention" : "sliding_attention");
  }
  return types;
}

/// Whether `layer` carries RoPE at all.
/// @param type its entry in `layer_types`; empty where there is none
inline bool layer_rotates(const nlohmann::json& config, const architecture& model, std::int64_t layer,
                          std::string_view type) {
  if (has(config, "position_embedding_type") && config.at("position_embedding_type") == "nope") {
    return false;
  }
  if (model.layers == rotating_layers::sliding_windows || model.layers == rotating_layers::sliding_windows_if_any) {
    if (has(config, "prefix_dense_sliding_window_pattern") && config.at("prefix_dense_sliding_window_pattern") == 1 &&
        has(config, "mlp_layer_types") && config.at("mlp_layer_types").at(static_cast<std::size_t>(layer)) == "dense") {
      return true;  // Cohere 2 MoE's first, dense layers
    }
    const bool windowless = config.contains("sliding_window") && config.at("sliding_window").is_null();
    return type == "sliding_attention" || (windowless && model.layers == rotating_layers::sliding_windows_if_any);
  }
  if (model.layers == rotating_layers::listed) {
    if (has(config, "no_rope_layers") && !config.at("no_rope_layers").empty()) {
      const nlohmann::json& list = config.at("no_rope_layers");
      require<shape_error>(static_cast<std::int64_t>(list.size()) > layer, "config", "no_rope_layers",
                           "one entry per layer", fmt::format("{}", list.size()));
      const nlohmann::json& rotates = list.at(static_cast<std::size_t>(layer));
      require<value_error>(rotates.is_boolean() || rotates.is_number_integer(), "config", "no_rope_layers",
                           "0, 1, true or false", rotates.dump());
      return rotates.get<std::int64_t>() != 0;
    }
    const std::int64_t interval =
        has(config, "no_rope_layer_interval") ? whole_number(config, {"no_rope_layer_interval"}) : 4;
    require<value_error>(interval > 0, "config", "no_rope_layer_interval", "above zero", fmt::format("{}", interval));
    return (layer + 1) % interval != 0;
  }
  return true;
}

}  // namespace kvtransfer::rope::detail
