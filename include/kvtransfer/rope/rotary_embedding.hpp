#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/detail/architectures.hpp"
#include "kvtransfer/rope/detail/config_layers.hpp"
#include "kvtransfer/rope/detail/config_parameters.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/rope/type_parameters.hpp"
#include "kvtransfer/rope/type_registry.hpp"

namespace kvtransfer {

/// What a config.json says about one layer's RoPE: a type with its parameters, of which each sequence length is a
/// regime.
class rotary_embedding {
 public:
  /// A layer without RoPE.
  rotary_embedding() { geometry_.rope_type = "none"; }

  /// @param type how the frequencies come about
  /// @param geometry what they rotate: pairing, window, streams; its frequencies are filled in by `at`
  rotary_embedding(rope::rotary_type type, rope::type_parameters parameters, rotary_specification geometry)
      : type_(std::move(type)), parameters_(std::move(parameters)), geometry_(std::move(geometry)) {}

  const std::string& rope_type() const { return geometry_.rope_type; }
  const rope::type_parameters& parameters() const { return parameters_; }

  /// False for a layer without RoPE.
  bool rotates() const { return static_cast<bool>(type_.build); }

  /// Whether two lengths may have different frequencies (dynamic NTK, LongRoPE).
  bool depends_on_length() const { return type_.depends_on_length; }

  /// The regime in force while the longest row of the batch has `length` tokens, that is, max(position) + 1.
  rotary_specification at(std::int64_t length) const {
    rotary_specification specification = geometry_;
    if (rotates()) {
      rope::frequencies frequencies = type_.build(parameters_, length);
      specification.inv_freq = std::move(frequencies.inv_freq);
      specification.attention_scaling = frequencies.attention_scaling;
      for (float& frequency : specification.inv_freq) {
        frequency = rotates_backwards_ ? -frequency : frequency;
      }
      rope::validate(specification, "rotary_embedding");
    }
    return specification;
  }

  /// Rotates by −p·f from here on, as nanochat does.
  void rotate_backwards() { rotates_backwards_ = true; }

 private:
  rope::rotary_type type_;
  rope::type_parameters parameters_;
  rotary_specification geometry_;
  bool rotates_backwards_ = false;
};

namespace rope {

/// What `rotary_embeddings_from_config` knows; extend a copy by a type or an architecture of your own.
struct config_knowledge {
  type_registry types = builtin_types();
  architecture_table architectures = builtin_architectures();
};

namespace detail {

/// The window, pairing and streams of layers whose parameters are `parameters`.
inline rotary_specification geometry_for(const nlohmann::json& config, const architecture& model,
                                         const type_parameters& parameters) {
  rotary_specification geometry;
  geometry.rope_type = parameters.values.at("rope_type").get<std::string>();
  geometry.pairing = model.pairs;
  geometry.normed_after_rotation = model.norms_after_rotation;
  if (has(config, "kv_lora_rank") && has(config, "qk_rope_head_dim")) {
    geometry.window_offset = whole_number(config, {"kv_lora_rank"});
  }
  if (model.mrope == mrope_layout::none && parameters.has("mrope_section")) {
    fail<value_error>("config", "model_type", "an architecture whose M-RoPE layout is known",
                      "another with mrope_section");
  }
  if (model.mrope != mrope_layout::none) {
    std::vector<std::int64_t> sections = model.mrope_sections;
    if (parameters.has("mrope_section")) {
      sections = parameters.whole_numbers("mrope_section");
    }
    geometry.stream_of = mrope_streams(model.mrope, sections, parameters.rotary_dim() / 2);
  }
  return geometry;
}

/// @throws value_error for a model whose keys hold no rotation that could be moved
inline void require_rotary_positions(const nlohmann::json& config, const architecture& model,
                                     std::string_view model_type) {
  const bool alibi = has(config, "alibi") && config.at("alibi") == true;
  require<value_error>(model.layers != rotating_layers::none && !alibi, "config", "model_type",
                       "a model with rotary positions", alibi ? "alibi" : model_type);
}

/// The embedding of `layer`, of type `type`.
inline rotary_embedding embedding_for(const nlohmann::json& config, const architecture& model,
                                      std::string_view model_type, std::int64_t layer, const std::string& type,
                                      const type_registry& types) {
  type_parameters parameters = parameters_for(config, model, model_type, layer, type);
  const rotary_type& builder = find_type(types, parameters.values.at("rope_type").get<std::string>());
  rotary_specification geometry = geometry_for(config, model, parameters);
  rotary_embedding embedding(builder, std::move(parameters), std::move(geometry));
  if (model.rotates_backwards) {
    embedding.rotate_backwards();
  }
  embedding.at(1);
  return embedding;
}

/// The rotary embedding of every layer, by the text part of a config.
inline std::vector<rotary_embedding> embeddings_for(const nlohmann::json& text, const config_knowledge& knowledge) {
  const std::string model_type = has(text, "model_type") ? text.at("model_type").get<std::string>() : "";
  const architecture model = architecture_of(knowledge.architectures, model_type);
  require_rotary_positions(text, model, model_type);
  const std::vector<std::string> types = layer_types(text, model);
  std::vector<rotary_embedding> embeddings;
  for (std::int64_t layer = 0; layer < layer_count(text); ++layer) {
    const std::string type = types.empty() ? "" : types[static_cast<std::size_t>(layer)];
    embeddings.push_back(layer_rotates(text, model, layer, type)
                             ? embedding_for(text, model, model_type, layer, type, knowledge.types)
                             : rotary_embedding());
  }
  return embeddings;
}

}  // namespace detail
}  // namespace rope

/// The rotary embedding of every layer, from a Hugging Face config.json in any of its spellings.
///
/// MLA models (DeepSeek) get the window of the compressed cache row that engines keep: `kv_lora_rank` elements that
/// stand still, then `qk_rope_head_dim` that rotate. transformers keeps the two in separate tensors: there, set
/// `window_offset` to 0.
/// @param config the parsed file; for a multimodal model its `text_config` is read
/// @throws value_error on an unknown rope_type (it lists the known ones), a base or factor that is not positive, a
/// model
///         whose positions are not rotary; shape_error on lists of the wrong length
inline std::vector<rotary_embedding> rotary_embeddings_from_config(const nlohmann::json& config,
                                                                   const rope::config_knowledge& knowledge = {}) {
  try {
    return rope::detail::embeddings_for(rope::detail::has(config, "text_config") ? config.at("text_config") : config,
                                        knowledge);
  } catch (const nlohmann::json::exception& bad) {
    fail<value_error>("config", "rope parameters", "numbers and lists as transformers writes them", bad.what());
  }
}

}  // namespace kvtransfer
