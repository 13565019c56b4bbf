#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/rope/architecture.hpp"
#include "kvtransfer/rope/detail/builtin_architectures.hpp"
#include "kvtransfer/rope/detail/config_layers.hpp"
#include "kvtransfer/rope/detail/config_parameters.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/rope/type_parameters.hpp"
#include "kvtransfer/rope/type_registry.hpp"

namespace kvtransfer {

/// What a config.json says about one layer's RoPE: a type with its parameters, which has a specification for each
/// sequence length.
class rotary_embedding {
 public:
  /// A layer without RoPE.
  rotary_embedding() { geometry_.rope_type = "none"; }

  /// @param type how the frequencies come about
  /// @param geometry what they rotate: pairing, window, streams; its frequencies are filled in by `at`
  rotary_embedding(rope::rotary_type type, rope::type_parameters parameters, rotary_specification geometry)
      : type_(std::move(type)), parameters_(std::move(parameters)), geometry_(std::move(geometry)) {}

  /// As in a config: "default", "yarn", …; "none" for a layer without RoPE.
  [[nodiscard]] const std::string& rope_type() const { return geometry_.rope_type; }
  /// What the frequencies are computed from.
  [[nodiscard]] const rope::type_parameters& parameters() const { return parameters_; }

  /// False for a layer without RoPE.
  [[nodiscard]] bool rotates() const { return static_cast<bool>(type_.build); }

  /// Whether two lengths may have different frequencies (dynamic NTK, LongRoPE).
  [[nodiscard]] bool depends_on_length() const { return type_.depends_on_length; }

  /// The specification in force while the longest row of the batch has `length` tokens, that is, max(position) + 1.
  [[nodiscard]] rotary_specification at(std::int64_t length) const {
    rotary_specification specification = geometry_;
    if (rotates()) {
      rope::frequencies frequencies = type_.build(parameters_, length);
      specification.inv_freq = std::move(frequencies.inv_freq);
      specification.attention_scaling = frequencies.attention_scaling;
      specification.length = depends_on_length() ? std::max<std::int64_t>(length, 1) : 0;
      for (float& frequency : specification.inv_freq) {
        frequency = rotates_backwards_ ? -frequency : frequency;
      }
      rope::validate(specification, "rotary_embedding");
    }
    return specification;
  }

  /// Whether the other has the same type, parameters and geometry, and so the same frequencies at every length. Types
  /// of one name count as one type.
  [[nodiscard]] bool computes_as(const rotary_embedding& other) const {
    return geometry_ == other.geometry_ && parameters_.values == other.parameters_.values &&
           parameters_.head_dim == other.parameters_.head_dim &&
           parameters_.max_position_embeddings == other.parameters_.max_position_embeddings &&
           rotates_backwards_ == other.rotates_backwards_ && rotates() == other.rotates();
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

/// Whose cache rows are read: engines lay out the row of latent attention (MLA) in their own way.
enum class cache_writer : std::uint8_t { transformers, vllm };

/// What `rotary_embeddings_from_config` knows; extend a copy by a type or an architecture of your own.
struct config_knowledge {
  type_registry types = builtin_types();                       ///< by the name that a config gives them
  architecture_table architectures = builtin_architectures();  ///< by `model_type`
  /// The conventions to read a config by, whatever its `model_type` says: for a model that the table doesn't have.
  std::optional<architecture> conventions = {};
  cache_writer writer = cache_writer::transformers;  ///< whose rows of latent attention are meant
};

namespace detail {

/// The window, pairing and streams of layers whose parameters are `parameters`.
inline rotary_specification geometry_for(const config_reader& config, const architecture& model,
                                         const type_parameters& parameters, cache_writer writer) {
  rotary_specification geometry;
  geometry.rope_type = parameters.values.at("rope_type").get<std::string>();
  geometry.pairing = writer == cache_writer::vllm ? model.vllm_pairs.value_or(model.pairs) : model.pairs;
  geometry.normed_after_rotation = model.norms_after_rotation;
  if (model.latent) {
    geometry.window_offset = config.size_of("kv_lora_rank");
  }
  require<value_error>(model.mrope != mrope_layout::none || !parameters.has("mrope_section"), "config", "model_type",
                       "an architecture whose M-RoPE layout is known", "another with mrope_section");
  if (model.mrope != mrope_layout::none) {
    std::vector<std::int64_t> sections = model.mrope_sections;
    if (parameters.has("mrope_section")) {
      sections = parameters.whole_numbers("mrope_section");
    }
    geometry.stream_of = mrope_streams(model.mrope, sections, parameters.pairs());
  }
  return geometry;
}

/// @throws value_error for a model whose keys hold no rotation that could be moved, or one that is not known
inline void require_rotary_positions(const config_reader& config, const architecture& model) {
  if (!model.refused.empty()) {
    config.refuse("model_type", fmt::format("a model whose keys can be moved ({})", model.refused));
  }
  const auto alibi = config.find("alibi");
  if (alibi && alibi->value() != false) {
    config.refuse("alibi", "false: a bias on the scores is no rotation");
  }
  if (config.find("rotary")) {
    config.refuse("rotary", "rope_parameters or rope_scaling");
  }
  const auto kind = config.find("position_embedding_type");
  if (kind && model.rotates_if_key != "position_embedding_type" && kind->value() != "rope" &&
      kind->value() != "rotary") {
    config.refuse("position_embedding_type", "rope");
  }
}

/// A type as Phi-3.5-MoE applies it: frequencies are those of a short text at every length, and what scales attention
/// is given for texts within and beyond the original length. Source: transformers, PhimoeRotaryEmbedding.forward
inline rotary_type with_mscale_by_length(rotary_type plain) {
  const auto build = [inner = std::move(plain.build)](const type_parameters& parameters, std::int64_t length) {
    frequencies found = inner(parameters, 1);
    const bool is_long = static_cast<double>(length) > parameters.original_length();
    found.attention_scaling = parameters.positive(is_long ? "long_mscale" : "short_mscale");
    return found;
  };
  return {build, true};
}

/// The embedding of `layer`, of type `type`.
inline rotary_embedding embedding_for(const config_reader& config, const architecture& model, std::int64_t layer,
                                      const std::string& type, const config_knowledge& knowledge) {
  type_parameters parameters = parameters_for(config, model, layer, type);
  const std::string name = parameters.values.at("rope_type").get<std::string>();
  rotary_type builder = knowledge.types.at(name);
  if (model.mscale_by_length && name != "default") {
    builder = with_mscale_by_length(std::move(builder));
  }
  rotary_specification geometry = geometry_for(config, model, parameters, knowledge.writer);
  rotary_embedding embedding(std::move(builder), std::move(parameters), std::move(geometry));
  if (model.rotates_backwards) {
    embedding.rotate_backwards();
  }
  (void)embedding.at(1);
  return embedding;
}

/// Whether `layer` has a base or parameters that say it carries no RoPE.
inline bool is_switched_off(const config_reader& config, const architecture& model, std::int64_t layer,
                            const std::string& type) {
  if (const auto bases = model.layer_theta_key.empty() ? std::nullopt : config.find(model.layer_theta_key)) {
    const auto index = static_cast<std::size_t>(layer);
    return bases->value().is_array() && index < bases->size() && bases->value()[index] == 0;
  }
  if (!model.null_is_no_rope) {
    return false;
  }
  const auto parameters = config.find("rope_parameters");
  const nlohmann::json nested =
      parameters ? parameters->value() : nlohmann::json::parse(model.default_parameters, nullptr, false);
  return nested.is_object() && nested.contains(type) && nested.at(type).is_null();
}

/// The rotary embedding of every layer, by the text part of a config.
inline std::vector<rotary_embedding> embeddings_for(const config_reader& config, const architecture& model,
                                                    const config_knowledge& knowledge) {
  require_rotary_positions(config, model);
  const std::vector<std::string> types = layer_types(config, model);
  std::vector<rotary_embedding> embeddings;
  for (std::int64_t layer = 0; layer < layer_count(config, model); ++layer) {
    const std::string type = types.empty() ? "" : types[static_cast<std::size_t>(layer)];
    const bool rotates = layer_rotates(config, model, layer, type) && !is_switched_off(config, model, layer, type);
    embeddings.push_back(rotates ? embedding_for(config, model, layer, type, knowledge) : rotary_embedding());
  }
  return embeddings;
}

/// The conventions that `config`, or a multimodal config around it, is to be read by.
inline architecture conventions_of(const config_reader& config, std::string_view outer_type,
                                   const config_knowledge& knowledge) {
  if (knowledge.conventions) {
    return *knowledge.conventions;
  }
  std::string model_type = config.text("model_type", "");
  if (model_type.empty() && !outer_type.empty()) {
    model_type = architecture_of(knowledge.architectures, outer_type).text_type;
  }
  const architecture& found = architecture_of(knowledge.architectures, model_type);
  // A multimodal model's older, flat config: the language model's fields stand beside the others.
  return found.text_type.empty() ? found : architecture_of(knowledge.architectures, found.text_type);
}

}  // namespace detail
}  // namespace rope

/// The rotary embedding of every layer, from a Hugging Face config.json in any of its spellings.
///
/// MLA models (DeepSeek) get the window of the compressed cache row that engines keep: `kv_lora_rank` elements that
/// stand still, then `qk_rope_head_dim` that rotate. transformers keeps the two in separate tensors: there, set
/// `window_offset` to 0.
/// @param config the parsed file; for a multimodal model its `text_config` is read
/// @throws value_error on a `model_type` or `rope_type` that is not known (it lists the known ones), a base or factor
///         that is not positive, a key that could change the rotation and is not understood, a model whose positions
///         are not rotary; shape_error on lists of the wrong length
[[nodiscard]] inline std::vector<rotary_embedding> rotary_embeddings_from_config(
    const nlohmann::json& config, const rope::config_knowledge& knowledge = {}) {
  try {
    const rope::detail::config_reader whole(config, "config");
    const auto text = whole.find("text_config");
    return rope::detail::embeddings_for(
        text.value_or(whole),
        rope::detail::conventions_of(text.value_or(whole), text ? whole.text("model_type", "") : "", knowledge),
        knowledge);
  } catch (const nlohmann::json::exception& bad) {
    fail<value_error>("config", "rope parameters", "numbers and lists as transformers writes them", bad.what());
  }
}

}  // namespace kvtransfer
