#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/detail/architectures.hpp"
#include "kvtransfer/rope/detail/config_layers.hpp"
#include "kvtransfer/rope/type_parameters.hpp"

namespace kvtransfer::rope::detail {

/// Elements of a key in `layer`, of type `type`; for MLA the elements that rotate.
inline std::int64_t head_dim_of(const nlohmann::json& config, std::int64_t layer, std::string_view type) {
  if (has(config, "qk_rope_head_dim")) {
    return whole_number(config, {"qk_rope_head_dim"});
  }
  if (has(config, "per_layer_config")) {
    for (const std::string& key : {std::to_string(layer), std::string(type)}) {
      const nlohmann::json& exceptions = config.at("per_layer_config");
      if (has(exceptions, key) && has(exceptions.at(key), "head_dim")) {
        return whole_number(exceptions.at(key), {"head_dim"});
      }
    }
  }
  if (type == "full_attention" && has(config, "global_head_dim")) {
    return whole_number(config, {"global_head_dim"});
  }
  if (has(config, "head_dim")) {
    return whole_number(config, {"head_dim"});
  }
  const std::int64_t heads = whole_number(config, {"num_attention_heads", "n_head"});
  require<value_error>(heads > 0, "config", "num_attention_heads", "above zero", fmt::format("{}", heads));
  return whole_number(config, {"hidden_size", "n_embd"}) / heads;
}

/// The config's dictionary of rotary parameters for layers of `type`: nested by layer type, flat, or the older
/// `rope_scaling`.
inline nlohmann::json stated_parameters(const nlohmann::json& config, const architecture& model,
                                        const std::string& type) {
  const bool sliding = type == "sliding_attention";
  nlohmann::json stated = nlohmann::json::object();
  if (has(config, "rope_parameters")) {
    stated = config.at("rope_parameters");
    require<value_error>(stated.is_object(), "config", "rope_parameters", "an object", stated.dump());
    if (!type.empty() && stated.contains(type)) {
      return stated.at(type);
    }
  }
  if (has(config, "rope_scaling") && !(model.bases && sliding && !model.bases->scales_both)) {
    require<value_error>(config.at("rope_scaling").is_object(), "config", "rope_scaling", "an object",
                         config.at("rope_scaling").dump());
    stated = config.at("rope_scaling");
  }
  return stated;
}

/// One name for each type: `type` was the older key, `su` LongRoPE's older name, `mrope` says sections and nothing
/// else.
inline void name_type(nlohmann::json& parameters, std::string_view model_type) {
  const char* key = has(parameters, "rope_type") ? "rope_type" : "type";
  std::string name = "default";
  if (has(parameters, key)) {
    require<value_error>(parameters.at(key).is_string(), "rope_parameters", key, "a name", parameters.at(key).dump());
    name = parameters.at(key).get<std::string>();
  }
  if (name == "su" || (name == "yarn" && model_type == "phi3")) {
    name = "longrope";
  } else if (name == "mrope") {
    name = "default";
  } else if (name == "dynamic" && has(parameters, "alpha") && parameters.at("alpha") != 0) {
    name = "ntk_alpha";
  }
  parameters["rope_type"] = name;
}

/// Copies the first of `keys` that `config` has into `parameters[name]`, unless that is set; `otherwise` where there is
/// none.
inline void set_default(nlohmann::json& parameters, const char* name, const nlohmann::json& config,
                        std::initializer_list<std::string_view> keys, double otherwise) {
  if (has(parameters, name)) {
    return;
  }
  for (const std::string_view key : keys) {
    if (has(config, key)) {
      parameters[name] = config.at(std::string(key));
      return;
    }
  }
  parameters[name] = otherwise;
}

/// The rotary parameters of `layer`, of type `type`, in one spelling and complete.
/// Source: transformers, RotaryEmbeddingConfigMixin and the overrides of Gemma 3, ModernBERT, Phi-3, GPT-NeoX,
/// MiniMax-M2
inline type_parameters parameters_for(const nlohmann::json& config, const architecture& model,
                                      std::string_view model_type, std::int64_t layer, const std::string& type) {
  type_parameters parameters{stated_parameters(config, model, type), head_dim_of(config, layer, type)};
  nlohmann::json& values = parameters.values;
  name_type(values, model_type);
  if (model.bases && type == "sliding_attention") {
    set_default(values, "rope_theta", config, {model.bases->sliding_key}, model.bases->sliding_theta);
  } else if (model.bases) {
    set_default(values, "rope_theta", config, {model.bases->full_key}, model.bases->full_theta);
  } else {
    set_default(values, "rope_theta", config, {"rope_theta", "rotary_emb_base"}, model.theta);
  }
  const bool has_rotary_dim = has(config, "rotary_dim") && !has(config, "partial_rotary_factor");
  const double by_width = has_rotary_dim ? static_cast<double>(whole_number(config, {"rotary_dim"})) /
                                               static_cast<double>(parameters.head_dim)
                                         : model.partial_rotary_factor;
  set_default(values, "partial_rotary_factor", config, {"partial_rotary_factor", "rotary_pct"}, by_width);
  if (has(config, "qk_rope_head_dim")) {
    values["partial_rotary_factor"] = 1.0;
  }
  for (const char* key : {"max_position_embeddings", "n_positions"}) {
    if (parameters.max_position_embeddings == 0 && has(config, key)) {
      parameters.max_position_embeddings = whole_number(config, {key});
    }
  }
  if (has(config, "original_max_position_embeddings")) {
    values["original_max_position_embeddings"] = config.at("original_max_position_embeddings");
  } else if (!has(values, "original_max_position_embeddings")) {
    values["original_max_position_embeddings"] = parameters.max_position_embeddings;
  }
  return parameters;
}

}  // namespace kvtransfer::rope::detail
