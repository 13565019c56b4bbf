#include "model/identity.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/rope/rotary_embedding.hpp"

namespace kvtransfer::detail {

namespace {

/// Keys of a config.json that change no number in keys, values or logits. Any other key counts, understood or not.
/// `attention_bias` and `mlp_bias` do, but what a missing one means differs: the resolved fields have them.
constexpr std::array<std::string_view, 19> without_effect{"attention_bias",
                                                          "mlp_bias",
                                                          "_attn_implementation_autoset",
                                                          "_name_or_path",
                                                          "attention_dropout",
                                                          "bos_token_id",
                                                          "dtype",
                                                          "eos_token_id",
                                                          "initializer_range",
                                                          "output_attentions",
                                                          "pad_token_id",
                                                          "output_hidden_states",
                                                          "return_dict",
                                                          "torch_dtype",
                                                          "transformers_version",
                                                          "use_cache",
                                                          "_commit_hash",
                                                          "hidden_dropout",
                                                          "embd_pdrop"};

/// Keys that say how keys are rotated, in one of several spellings: `rotary_of` has them by value.
constexpr std::array<std::string_view, 6> about_rotation{"rope_theta",
                                                         "rope_scaling",
                                                         "rope_parameters",
                                                         "partial_rotary_factor",
                                                         "original_max_position_embeddings",
                                                         "max_position_embeddings"};

bool is_left_out(std::string_view key) {
  return std::ranges::find(without_effect, key) != without_effect.end() ||
         std::ranges::find(about_rotation, key) != about_rotation.end();
}

/// A number by its value, whole or not: 10000 and 10000.0 are one.
std::string number_text(const nlohmann::json& number) {
  constexpr double largest_whole = 9007199254740992.0;  // 2^53: as far as a double tells whole numbers apart
  if (number.is_number_float()) {
    const double value = number.get<double>();
    return std::trunc(value) == value && std::abs(value) <= largest_whole
               ? fmt::format("{}", static_cast<std::int64_t>(value))
               : fmt::format("{}", value);
  }
  return number.dump();
}

/// A value as text: the same however the file spells it.
std::string value_text(const nlohmann::json& value) {
  if (value.is_number()) {
    return number_text(value);
  }
  if (value.is_string()) {
    return value.get<std::string>();
  }
  if (value.is_array()) {
    std::vector<std::string> items;
    for (const nlohmann::json& item : value) {
      items.push_back(value_text(item));
    }
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// Adds an object's members, those of objects within it by dotted keys. A null is as good as no key.
void add_members(const std::string& prefix, const nlohmann::json& object, model_identity::values& values) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object() && !value.empty()) {
      add_members(prefix + key + ".", value, values);
    } else if (!value.is_null()) {
      values[prefix + key] = value_text(value);
    }
  }
}

std::string text_of(double value) { return number_text(value); }
std::string text_of(std::int64_t value) { return fmt::format("{}", value); }
std::string text_of(bool value) { return value ? "true" : "false"; }

model_identity::values values_of(const rotary_embedding& rotary) {
  model_identity::values values{{"rope_type", rotary.rope_type()}};
  if (!rotary.rotates()) {
    return values;
  }
  add_members("", rotary.parameters().values, values);
  constexpr std::array<std::string_view, 4> of_any_length{"default", "linear", "proportional", "ntk_alpha"};
  if (std::ranges::find(of_any_length, rotary.rope_type()) != of_any_length.end()) {
    values.erase("original_max_position_embeddings");  // filled in for every type, and of no meaning to these
  }
  if (rotary.depends_on_length()) {
    values["max_position_embeddings"] = fmt::format("{}", rotary.parameters().max_position_embeddings);
  }
  const rotary_specification short_text = rotary.at(1);
  values["rotary_dim"] = fmt::format("{}", short_text.rotary_dim());
  values["pairing"] = rope::to_string(short_text.pairing);
  values["window_offset"] = fmt::format("{}", short_text.window_offset);
  values["stream_of"] = fmt::format("{}", short_text.stream_of);
  values["normed_after_rotation"] = text_of(short_text.normed_after_rotation);
  values["attention_scaling"] = text_of(short_text.attention_scaling);
  values["direction"] = !short_text.inv_freq.empty() && short_text.inv_freq.front() < 0 ? "backwards" : "forwards";
  return values;
}

/// Scale, cap and window of every layer's attention, once where all have the same.
std::string attention_text(const model_config& config) {
  std::vector<std::string> layers;
  for (const attention_specification& attention : config.attention) {
    layers.push_back(fmt::format("scale {} cap {} window {}", text_of(attention.scale),
                                 attention.softcap ? text_of(*attention.softcap) : "none",
                                 attention.window ? text_of(*attention.window) : "none"));
  }
  const bool alike = std::ranges::all_of(layers, [&](const std::string& layer) { return layer == layers.front(); });
  return alike && !layers.empty() ? layers.front() : fmt::format("{}", fmt::join(layers, "; "));
}

}  // namespace

model_identity::values configuration_of(const model_config& config) {
  nlohmann::json raw = nlohmann::json::parse(config.raw, nullptr, false);
  model_identity::values values;
  if (raw.is_object()) {
    for (auto member = raw.begin(); member != raw.end();) {
      member = is_left_out(member.key()) ? raw.erase(member) : std::next(member);
    }
    add_members("", raw, values);
  }
  values["architecture"] = config.architecture;
  values["num_hidden_layers"] = text_of(config.layers);
  values["hidden_size"] = text_of(config.hidden_size);
  values["intermediate_size"] = text_of(config.intermediate_size);
  values["num_attention_heads"] = text_of(config.q_heads);
  values["num_key_value_heads"] = text_of(config.kv_heads);
  values["head_dim"] = text_of(config.head_dim);
  values["vocab_size"] = text_of(config.vocab_size);
  values["rms_norm_eps"] = text_of(config.rms_norm_eps);
  values["tie_word_embeddings"] = text_of(config.tie_word_embeddings);
  values["qkv_bias"] = text_of(config.qkv_bias);
  values["output_bias"] = text_of(config.output_bias);
  values["mlp_bias"] = text_of(config.mlp_bias);
  values["norms_queries_and_keys"] = text_of(config.norms_queries_and_keys);
  values["norms_outputs"] = text_of(config.norms_outputs);
  values["norms_add_one"] = text_of(config.norms_add_one);
  values["activation"] = fmt::format("{}", static_cast<int>(config.activation));
  values["embedding_scale"] = text_of(config.embedding_scale);
  values["final_softcap"] = config.final_softcap ? text_of(*config.final_softcap) : "none";
  values["attention"] = attention_text(config);
  return values;
}

model_identity::values rotary_of(const model_config& config) {
  std::vector<model_identity::values> distinct;
  std::vector<std::size_t> layers;
  for (const rotary_embedding& rotary : config.rotary) {
    model_identity::values values = values_of(rotary);
    const auto found = std::ranges::find(distinct, values);
    layers.push_back(static_cast<std::size_t>(found - distinct.begin()));
    if (found == distinct.end()) {
      distinct.push_back(std::move(values));
    }
  }
  if (distinct.size() == 1) {
    return distinct.front();
  }
  model_identity::values all{{"layers", fmt::format("{}", fmt::join(layers, " "))}};
  for (std::size_t i = 0; i < distinct.size(); ++i) {
    for (const auto& [key, value] : distinct[i]) {
      all[fmt::format("{}.{}", i, key)] = value;
    }
  }
  return all;
}

model_identity identity_of(const model_config& config, model_digest digest, std::string tokenizer) {
  return {std::move(digest), "none", "none", std::move(tokenizer), configuration_of(config), rotary_of(config)};
}

}  // namespace kvtransfer::detail
