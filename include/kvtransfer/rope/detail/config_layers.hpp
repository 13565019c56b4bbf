#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/rope/architecture.hpp"

namespace kvtransfer::rope::detail {

/// A configuration is a value that the caller holds, so that what is wrong with it is a `value_error`.
using config_reader = basic_json_reader<value_error>;

/// The first of `keys` that `config` has, a size. @throws value_error if it has none of them
inline std::int64_t first_size(const config_reader& config, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (config.find(key)) {
      return config.size_of(key);
    }
  }
  return config.size_of(*keys.begin());
}

/// Far more than any model has: a count beyond it is a mistake in the file.
inline constexpr std::int64_t most_layers = 10'000;

/// The number of layers with a cache each, under any of its names, or as many as the config lists types of.
inline std::int64_t layer_count(const config_reader& config, const architecture& model) {
  for (const char* key : {"num_hidden_layers", "n_layer", "num_layers"}) {
    if (const auto layers = config.find(key)) {
      return layers->integer(0, most_layers) * (key == std::string_view("num_layers") ? model.layers_per_block : 1);
    }
  }
  if (const auto types = config.find(model.layer_types_key)) {
    return static_cast<std::int64_t>(types->size());
  }
  config.refuse("num_hidden_layers", fmt::format("an integer from 0 to {}", most_layers));
}

/// The layer types as transformers calls them today.
inline std::string current_layer_type(const std::string& type) {
  if (type == "mamba" || type == "recurrent") {
    return "linear_attention";
  }
  return type == "attention" ? "full_attention" : type;
}

/// Whether layers of this type cache keys at all.
inline bool has_keys(std::string_view type) {
  constexpr std::array<std::string_view, 5> without = {"linear_attention", "conv", "moe", "mlp", "gdn"};
  return std::ranges::find(without, type) == without.end();
}

inline std::vector<std::string> listed_layer_types(const config_reader& config, const architecture& model,
                                                   std::int64_t layers) {
  for (const std::string_view key : {std::string_view("layer_types"), model.layer_types_key}) {
    if (const auto list = config.find(key)) {
      std::vector<std::string> types = list->texts();
      require<shape_error>(static_cast<std::int64_t>(types.size()) == layers, "config", key,
                           fmt::format("{} entries, one per layer", layers), fmt::format("{}", types.size()));
      std::ranges::transform(types, types.begin(), current_layer_type);
      return types;
    }
  }
  return {};
}

/// The length of a model's pattern: the config's, as a number or as a string with a letter for each layer, or its own.
inline std::int64_t period_of(const config_reader& config, const layer_pattern& pattern) {
  const auto stated = pattern.period_key.empty() ? std::nullopt : config.find(pattern.period_key);
  if (!stated) {
    return pattern.period;
  }
  return stated->value().is_string() ? static_cast<std::int64_t>(stated->text().size())
                                     : stated->integer(1, most_layers);
}

/// Whether the model rotates at all: some do only if a field of their config says so.
inline bool is_rotary(const config_reader& config, const architecture& model) {
  if (model.rotates_if_key.empty()) {
    return model.layers != rotating_layers::none;
  }
  const auto stated = config.find(model.rotates_if_key);
  return stated && stated->value() == nlohmann::json::parse(model.rotates_if_value);
}

/// `full_attention` or `sliding_attention` (or the config's own word) for every layer; empty where layers are alike.
/// @throws shape_error if the config lists another number of layers than it has, value_error if it lists none where no
/// rule says which are which
inline std::vector<std::string> layer_types(const config_reader& config, const architecture& model) {
  const std::int64_t layers = layer_count(config, model);
  std::vector<std::string> types = listed_layer_types(config, model, layers);
  if (!types.empty() || layers == 0) {
    return types;
  }
  if (const auto full = model.full_layers_key.empty() ? std::nullopt : config.find(model.full_layers_key)) {
    const std::vector<std::int64_t> numbers = full->integers();
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const bool is_full = std::ranges::find(numbers, layer) != numbers.end();
      types.emplace_back(is_full ? std::string_view("full_attention") : model.pattern.other);
    }
    return types;
  }
  if (model.lists_layers && is_rotary(config, model)) {
    config.refuse(model.layer_types_key, "the type of every layer");
  }
  const layer_pattern& pattern = model.pattern;
  const std::int64_t period = pattern.period > 0 ? period_of(config, pattern) : 0;
  const std::int64_t phase = pattern.phase < 0 ? period - 1 : pattern.phase;
  for (std::int64_t layer = 0; period > 0 && layer < layers; ++layer) {
    const bool full = layer % period == phase || layer < pattern.lead || (pattern.last && layer == layers - 1);
    types.emplace_back(full ? std::string_view("full_attention") : pattern.other);
  }
  if (types.empty() && model.by_layer_type) {
    types.assign(static_cast<std::size_t>(layers), "full_attention");
  }
  return types;
}

/// Whether `layer` is one of those that the config, or the model's interval, gives RoPE.
inline bool is_listed(const config_reader& config, std::int64_t layer) {
  const auto list = config.find("no_rope_layers");
  if (list && list->size() > 0) {
    require<shape_error>(list->value().is_array() && static_cast<std::int64_t>(list->size()) > layer, "config",
                         "no_rope_layers", "one entry per layer", formatted("{}", list->size()));
    const nlohmann::json& rotates = list->value()[static_cast<std::size_t>(layer)];
    require<value_error>(rotates.is_boolean() || rotates.is_number_integer(), "config", "no_rope_layers",
                         "0, 1, true or false", excerpt(rotates));
    return rotates.get<std::int64_t>() != 0;
  }
  return (layer + 1) % config.size_of("no_rope_layer_interval", 4) != 0;
}

/// Whether a layer with a window of its own is the only kind that rotates, and `layer`, of type `type`, is one.
inline bool is_windowed(const config_reader& config, const architecture& model, std::int64_t layer,
                        std::string_view type) {
  const auto dense = config.find("prefix_dense_sliding_window_pattern");
  if (const auto mlps = config.find("mlp_layer_types"); dense && dense->value() == 1 && mlps) {
    const std::vector<std::string> kinds = mlps->texts();
    if (static_cast<std::size_t>(layer) < kinds.size() && kinds[static_cast<std::size_t>(layer)] == "dense") {
      return true;  // Cohere 2 MoE's first, dense layers
    }
  }
  const bool windowless = config.contains("sliding_window") && !config.find("sliding_window");
  if (windowless && model.layers == rotating_layers::sliding_windows_if_any) {
    return true;
  }
  if (windowless && model.layers == rotating_layers::sliding_windows && type == "sliding_attention") {
    config.refuse("sliding_window", "an integer, where layers are sliding");
  }
  return type == "sliding_attention";
}

/// Whether `layer` carries RoPE at all.
/// @param type its entry in `layer_types`; empty where there is none
inline bool layer_rotates(const config_reader& config, const architecture& model, std::int64_t layer,
                          std::string_view type) {
  if (!has_keys(type) || !is_rotary(config, model)) {
    return false;
  }
  switch (model.layers) {
    case rotating_layers::all:
      return true;
    case rotating_layers::none:
      return false;
    case rotating_layers::listed:
      return is_listed(config, layer);
    default:
      return is_windowed(config, model, layer, type);
  }
}

}  // namespace kvtransfer::rope::detail
