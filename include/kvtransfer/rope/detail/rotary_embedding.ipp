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

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/architecture.hpp"
#include "kvtransfer/rope/detail/config_layers.hpp"
#include "kvtransfer/rope/detail/config_parameters.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/rope/type_parameters.hpp"
#include "kvtransfer/rope/type_registry.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE rotary_specification rotary_embedding::at(std::int64_t length) const {
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

KVTRANSFER_INLINE bool rotary_embedding::computes_as(const rotary_embedding& other) const {
  return geometry_ == other.geometry_ && parameters_.values == other.parameters_.values &&
         parameters_.head_dim == other.parameters_.head_dim &&
         parameters_.max_position_embeddings == other.parameters_.max_position_embeddings &&
         rotates_backwards_ == other.rotates_backwards_ && rotates() == other.rotates();
}

}  // namespace kvtransfer

namespace kvtransfer::rope::detail {

KVTRANSFER_INLINE rotary_specification geometry_for(const config_reader& config, const architecture& model,
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

KVTRANSFER_INLINE void require_rotary_positions(const config_reader& config, const architecture& model) {
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

KVTRANSFER_INLINE rotary_type with_mscale_by_length(rotary_type plain) {
  const auto build = [inner = std::move(plain.build)](const type_parameters& parameters, std::int64_t length) {
    frequencies found = inner(parameters, 1);
    const bool is_long = static_cast<double>(length) > parameters.original_length();
    found.attention_scaling = parameters.positive(is_long ? "long_mscale" : "short_mscale");
    return found;
  };
  return {build, true};
}

KVTRANSFER_INLINE rotary_embedding embedding_for(const config_reader& config, const architecture& model,
                                                 std::int64_t layer, const std::string& type,
                                                 const config_knowledge& knowledge) {
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

KVTRANSFER_INLINE bool is_switched_off(const config_reader& config, const architecture& model, std::int64_t layer,
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

KVTRANSFER_INLINE std::vector<rotary_embedding> embeddings_for(const config_reader& config, const architecture& model,
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

KVTRANSFER_INLINE architecture conventions_of(const config_reader& config, std::string_view outer_type,
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

}  // namespace kvtransfer::rope::detail

namespace kvtransfer {

KVTRANSFER_INLINE std::vector<rotary_embedding> rotary_embeddings_from_config(const nlohmann::json& config,
                                                                              const rope::config_knowledge& knowledge) {
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
