#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/rope/architecture.hpp"
#include "kvtransfer/rope/detail/config_layers.hpp"
#include "kvtransfer/rope/type_parameters.hpp"

namespace kvtransfer::rope::detail {

/// The exception that `per_layer_config` makes for `layer`, of type `type`.
inline std::optional<std::int64_t> exceptional_head_dim(const config_reader& config, std::int64_t layer,
                                                        std::string_view type) {
  if (const auto exceptions = config.find("per_layer_config")) {
    for (const std::string& key : {std::to_string(layer), std::string(type)}) {
      if (const auto exception = exceptions->find(key); exception && exception->find("head_dim")) {
        return exception->size_of("head_dim");
      }
    }
  }
  return std::nullopt;
}

/// Elements of a key in `layer`, of type `type`; for MLA the elements that rotate.
inline std::int64_t head_dim_of(const config_reader& config, const architecture& model, std::int64_t layer,
                                std::string_view type) {
  const auto known = [](std::int64_t size) { return size > 0 ? std::optional(size) : std::nullopt; };
  if (model.latent) {
    return config.size_of("qk_rope_head_dim", known(model.qk_rope_head_dim));
  }
  if (const auto exception = exceptional_head_dim(config, layer, type)) {
    return *exception;
  }
  if (type == "full_attention" && (config.find("global_head_dim") || model.global_head_dim > 0)) {
    return config.size_of("global_head_dim", known(model.global_head_dim));
  }
  for (const std::string_view key : {model.head_dim_key, std::string_view("head_dim")}) {
    if (!model.derives_head_dim && config.find(key)) {
      return config.size_of(key);
    }
  }
  if (model.head_dim > 0) {
    return model.head_dim;
  }
  return model.head_multiple * first_size(config, {"hidden_size", "n_embd"}) /
         first_size(config, {"num_attention_heads", "n_head"});
}

/// A field that holds rotary parameters, if it is there and not null. @throws value_error unless it is an object
inline std::optional<nlohmann::json> dictionary(const config_reader& config, std::string_view key) {
  if (!config.find(key)) {
    return std::nullopt;
  }
  return config.object(key).value();
}

/// Parameters of models that had a base for full and one for sliding layers before `rope_parameters` could be nested:
/// what the dictionary says beside the layer types is not read.
/// Source: transformers, Gemma3TextConfig, ModernBertConfig and Olmo3Config.convert_rope_params_to_dict
inline nlohmann::json two_base_parameters(const config_reader& config, const two_bases& bases,
                                          const std::string& type) {
  const nlohmann::json plain = {{"rope_type", "default"}};
  nlohmann::json nested = dictionary(config, "rope_parameters")
                              .value_or(nlohmann::json{{"full_attention", plain}, {"sliding_attention", plain}});
  if (const auto scaling = dictionary(config, "rope_scaling")) {
    for (const char* scaled : {"full_attention", "sliding_attention"}) {
      if (scaled == std::string_view("sliding_attention") && !bases.scales_both) {
        continue;
      }
      (void)config_reader(nested, "config", "rope_parameters").object(scaled);
      nested.at(scaled).update(*scaling);
    }
  }
  const auto found = nested.find(type);
  nlohmann::json stated = found == nested.end() || found->is_null() ? plain : *found;
  const bool sliding = type == "sliding_attention";
  if (stated.is_object() && !stated.contains("rope_theta")) {
    const std::string_view key = sliding ? bases.sliding_key : bases.full_key;
    const double otherwise = sliding ? bases.sliding_theta : bases.full_theta;
    stated["rope_theta"] = key.empty() ? otherwise : config.positive_number(key, otherwise);
  }
  return stated;
}

/// Parameters of models whose dictionary is nested by layer type.
inline nlohmann::json nested_parameters(const config_reader& config, const architecture& model,
                                        const std::string& type) {
  if (const auto scaling = dictionary(config, "rope_scaling"); scaling && !scaling->empty()) {
    config.refuse("rope_scaling", "rope_parameters by layer type");
  }
  const nlohmann::json nested =
      dictionary(config, "rope_parameters").value_or(nlohmann::json::parse(model.default_parameters, nullptr, false));
  const config_reader reader(nested, "config", "rope_parameters");
  nlohmann::json stated = reader.object(type).value();
  // YaRN's `truncate` is the one key that transformers looks up outside the nest.
  stated.erase("truncate");
  if (reader.contains("truncate")) {
    stated["truncate"] = nested.at("truncate");
  }
  return stated;
}

/// Parameters of models with one dictionary for all layers.
/// Source: transformers, RotaryEmbeddingConfigMixin.convert_rope_params_to_dict
inline nlohmann::json flat_parameters(const config_reader& config, const architecture& model) {
  auto stated = dictionary(config, "rope_scaling");
  if (!stated || stated->empty()) {
    stated = dictionary(config, "rope_parameters");
  }
  if (model.theta_key.empty() && stated) {
    config.refuse_with("no rope_parameters: the model's angles are a fixed table", excerpt(*stated));
  }
  if (!stated && !model.default_parameters.empty()) {
    return nlohmann::json::parse(model.default_parameters);
  }
  return stated.value_or(nlohmann::json::object());
}

template <class... Names>
bool is_one_of(std::string_view key, const Names&... names) {
  return ((key == names) || ...);
}

/// Refuses what is not understood and could change the result.
inline void require_known_parameters(const config_reader& parameters, const architecture& model) {
  parameters.for_each_member([&](const std::string& key, const config_reader& member) {
    // llama_4_scaling_beta scales queries; the last three say how M-RoPE's sections lie, which the architecture knows.
    const bool is_known = is_one_of(key, "rope_type", "type", "rope_theta", "partial_rotary_factor", "factor",
                                    "original_max_position_embeddings", "beta_fast", "beta_slow", "mscale",
                                    "mscale_all_dim", "attention_factor", "truncate", "short_factor", "long_factor",
                                    "mrope_section", "low_freq_factor", "high_freq_factor", "llama_4_scaling_beta",
                                    "max_position_embeddings", "mrope_interleaved", "interleaved", "finetuned") ||
                          (model.ntk_alpha && key == "alpha") ||
                          (model.mscale_by_length && (key == "short_mscale" || key == "long_mscale"));
    if (!is_known && !member.value().is_null()) {
      member.refuse("no such key: it is not known what it does to the rotation");
    }
  });
}

/// One name for each type: `type` was the older key.
inline void name_type(nlohmann::json& parameters, const architecture& model) {
  const config_reader reader(parameters, "rope_parameters");
  std::string name = reader.text("rope_type", reader.text("type", "default"));
  if (const auto renamed = model.renamed_types.find(name); renamed != model.renamed_types.end()) {
    name = renamed->second;
  }
  const auto alpha = reader.find("alpha");
  if (model.ntk_alpha && name == "dynamic" && alpha && alpha->number() != 0) {
    name = "ntk_alpha";
  }
  parameters["rope_type"] = name;
}

/// Refuses a dictionary without what its type is computed from, as transformers does.
/// Source: transformers, RotaryEmbeddingConfigMixin.validate_rope
inline void require_complete(const config_reader& parameters, std::string_view type) {
  const auto demand = [&](std::initializer_list<std::string_view> keys) {
    for (const std::string_view key : keys) {
      if (!parameters.contains(key)) {
        parameters.refuse(key, fmt::format("a value, for the type {}", type));
      }
    }
  };
  if (type == "linear" || type == "dynamic" || type == "yarn") {
    demand({"factor"});
  } else if (type == "llama3") {
    demand({"factor", "low_freq_factor", "high_freq_factor"});
  } else if (type == "longrope") {
    demand({"short_factor", "long_factor"});
  }
}

/// Sets the base and the rotating share of `layer` where the dictionary says nothing.
inline void set_defaults(nlohmann::json& values, const config_reader& config, const architecture& model,
                         std::int64_t layer, std::int64_t head_dim) {
  if (!values.contains("rope_theta")) {
    const bool stated = !model.theta_key.empty() && config.contains(model.theta_key);
    values["rope_theta"] = stated ? config.member(model.theta_key).value() : nlohmann::json(model.theta);
  }
  if (!model.layer_theta_key.empty() && config.find(model.layer_theta_key)) {
    const config_reader bases = config.member(model.layer_theta_key);
    require<shape_error>(bases.value().is_array() && static_cast<std::int64_t>(bases.size()) > layer, "config",
                         model.layer_theta_key, "one base per layer", [&] { return excerpt(bases.value()); });
    values["rope_theta"] = bases.value()[static_cast<std::size_t>(layer)];
  }
  const std::string type = values.at("rope_type").get<std::string>();
  const auto beside = model.partial_key.empty() ? std::nullopt : config.find(model.partial_key);
  if (!model.partial_rotary_factor && model.width_key.empty()) {
    const auto stated = config_reader(values, "rope_parameters").find("partial_rotary_factor");
    const nlohmann::json share = stated ? stated->value() : beside ? beside->value() : nlohmann::json(1.0);
    if (type == "default") {
      values["partial_rotary_factor"] = 1.0;
    } else if (type != "proportional" && share != 1.0) {
      fail<value_error>("config", "partial_rotary_factor", "1: the model rotates whole heads", excerpt(share));
    }
  } else if (!values.contains("partial_rotary_factor")) {
    if (!model.width_key.empty() && (config.find(model.width_key) || model.rotary_dim > 0)) {
      const std::int64_t width =
          config.size_of(model.width_key, model.rotary_dim > 0 ? std::optional(model.rotary_dim) : std::nullopt);
      values["partial_rotary_factor"] = static_cast<double>(width) / static_cast<double>(head_dim);
    } else {
      values["partial_rotary_factor"] =
          beside ? beside->value() : nlohmann::json(model.partial_rotary_factor.value_or(1.0));
    }
  }
}

/// Sets the length that the model was trained on before its context was extended: a value beside a flat dictionary wins
/// over the one inside.
inline void set_original_length(nlohmann::json& values, const config_reader& config, const architecture& model,
                                std::int64_t max_length) {
  constexpr const char* key = "original_max_position_embeddings";
  const bool nested = model.by_layer_type || model.bases;
  if (!nested && config.find(key)) {
    values[key] = config.member(key).value();
  } else if (!nested && model.original_length > 0) {
    values[key] = model.original_length;
  } else if (!values.contains(key)) {
    values[key] = max_length;
  }
}

/// The rotary parameters of `layer`, of type `type`, in one spelling and complete.
inline type_parameters parameters_for(const config_reader& config, const architecture& model, std::int64_t layer,
                                      const std::string& type) {
  type_parameters parameters{model.bases           ? two_base_parameters(config, *model.bases, type)
                             : model.by_layer_type ? nested_parameters(config, model, type)
                                                   : flat_parameters(config, model),
                             head_dim_of(config, model, layer, type)};
  nlohmann::json& values = parameters.values;
  require_known_parameters(config_reader(values, "rope_parameters"), model);
  name_type(values, model);
  require_complete(config_reader(values, "rope_parameters"), values.at("rope_type").get<std::string>());
  set_defaults(values, config, model, layer, parameters.head_dim);
  for (const char* key : {"max_position_embeddings", "n_positions", "model_max_length"}) {
    if (parameters.max_position_embeddings == 0 && config.find(key)) {
      parameters.max_position_embeddings = config.size_of(key);
    }
  }
  set_original_length(values, config, model, parameters.max_position_embeddings);
  if (model.mscale_by_length && values.at("rope_type") != "default") {
    for (const char* key : {"short_mscale", "long_mscale"}) {
      (void)config_reader(values, "rope_parameters").member(key).positive_number();
    }
  }
  return parameters;
}

}  // namespace kvtransfer::rope::detail
