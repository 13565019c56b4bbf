#include "kvtransfer/model/weights/gguf_config.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "gguf_architecture.hpp"
#include "gguf_hyperparameters.hpp"
#include "gguf_rope.hpp"
#include "gguf_turn_ends.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"

namespace kvtransfer {

namespace {

using detail::gguf_architecture;
using detail::gguf_hyperparameters;

constexpr std::int64_t most_layers = 10'000;

void add_sizes(nlohmann::json& config, gguf_hyperparameters& keys, const gguf_file& file) {
  const std::int64_t hidden = keys.size("embedding_length");
  const std::int64_t heads = keys.size("attention.head_count");
  if (!keys.has("attention.key_length") && hidden % heads != 0) {
    keys.refuse("attention.head_count", fmt::format("a divisor of embedding_length = {}", hidden));
  }
  const std::int64_t head_dim = keys.size("attention.key_length", hidden / heads);
  if (head_dim % 2 != 0) {
    keys.refuse("attention.key_length", "an even number");
  }
  if (keys.size("attention.value_length", head_dim) != head_dim) {
    keys.refuse("attention.value_length", fmt::format("{}, the width of a key", head_dim));
  }
  const std::int64_t kv_heads = keys.size("attention.head_count_kv", heads);
  if (heads % kv_heads != 0) {
    keys.refuse("attention.head_count_kv", fmt::format("a divisor of head_count = {}", heads));
  }
  const std::vector<std::int64_t>& embedding = file.tensor("token_embd.weight").shape;
  if (embedding.size() != 2 || embedding[1] != hidden) {
    fail<file_error>(file.path().string(), "tensor \"token_embd.weight\": shape",
                     fmt::format("[vocabulary, embedding_length = {}]", hidden), excerpt(embedding));
  }
  if (keys.size("vocab_size", embedding[0]) != embedding[0]) {
    keys.refuse("vocab_size", fmt::format("{}, the rows of token_embd.weight", embedding[0]));
  }
  config["hidden_size"] = hidden;
  config["num_attention_heads"] = heads;
  config["num_key_value_heads"] = kv_heads;
  config["head_dim"] = head_dim;
  config["vocab_size"] = embedding[0];
  config["num_hidden_layers"] = keys.size("block_count", std::nullopt, most_layers);
  config["intermediate_size"] = keys.size("feed_forward_length");
  config["max_position_embeddings"] = keys.size("context_length");
  config["rms_norm_eps"] = keys.positive("attention.layer_norm_rms_epsilon");
}

/// A null says that there is none, where a missing key would mean an id of transformers' own.
void add_token_ids(nlohmann::json& config, const gguf_metadata& metadata) {
  const auto vocab_size = config["vocab_size"].get<std::int64_t>();
  const auto id = [&](std::string_view key) {
    const std::optional<std::int64_t> value = metadata.integer(key);
    if (value && (*value < 0 || *value >= vocab_size)) {
      metadata.refuse(key, fmt::format("a token id below {}", vocab_size));
    }
    return value ? nlohmann::json(*value) : nlohmann::json();
  };
  config["bos_token_id"] = id("tokenizer.ggml.bos_token_id");
  config["eos_token_id"] = id("tokenizer.ggml.eos_token_id");
  config["pad_token_id"] = id("tokenizer.ggml.padding_token_id");
  static_cast<void>(id("tokenizer.ggml.eot_token_id"));
  static_cast<void>(id("tokenizer.ggml.eom_token_id"));
  nlohmann::json ends = nlohmann::json::array();
  if (!config["eos_token_id"].is_null()) {
    ends.push_back(config["eos_token_id"]);
  }
  for (const std::int64_t end : detail::gguf_turn_ends(metadata)) {
    if (end < vocab_size) {  // a token behind the embedding's rows is never generated
      ends.push_back(end);
    }
  }
  if (!ends.empty()) {
    config["eos_token_id"] = ends.size() == 1 ? ends.front() : ends;
  }
}

/// Which of Gemma's layers see a window alone: every one but each `period`-th, unless the file lists them.
nlohmann::json layer_types(gguf_hyperparameters& keys, std::int64_t layers, std::int64_t period) {
  const std::vector<std::int64_t> stated = keys.integers("attention.sliding_window_pattern");
  const bool listed = stated.size() > 1;
  if (listed && static_cast<std::int64_t>(stated.size()) != layers) {
    keys.refuse("attention.sliding_window_pattern", fmt::format("one boolean for each of {} layers", layers));
  }
  if (stated.size() == 1) {
    period = keys.size("attention.sliding_window_pattern");
  }
  nlohmann::json types = nlohmann::json::array();
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const bool sliding = listed ? stated[static_cast<std::size_t>(layer)] != 0 : (layer + 1) % period != 0;
    types.push_back(sliding ? "sliding_attention" : "full_attention");
  }
  return types;
}

/// Source: ggml-org/llama.cpp: the largest Gemma of each generation scales by its own hidden_size / heads.
void add_gemma(nlohmann::json& config, const gguf_architecture& architecture, gguf_hyperparameters& keys) {
  const bool second = architecture.name == "gemma2";
  const auto layers = config["num_hidden_layers"].get<std::int64_t>();
  const auto hidden = config["hidden_size"].get<std::int64_t>();
  const auto heads = config["num_attention_heads"].get<std::int64_t>();
  const std::int64_t layers_of_27b = second ? 46 : 62;
  config["query_pre_attn_scalar"] = layers == layers_of_27b ? nlohmann::json(hidden / heads) : config["head_dim"];
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["sliding_window"] = keys.size("attention.sliding_window");
  config["layer_types"] = layer_types(keys, layers, second ? 2 : 6);
  config["attn_logit_softcapping"] = nullptr;
  config["final_logit_softcapping"] = nullptr;
  if (second) {
    config["attn_logit_softcapping"] = keys.positive("attn_logit_softcapping", 50.0);
    config["final_logit_softcapping"] = keys.positive("final_logit_softcapping", 30.0);
  } else if (keys.has("final_logit_softcapping")) {
    config["final_logit_softcapping"] = keys.positive("final_logit_softcapping");
  }
}

void add_biases(nlohmann::json& config, const gguf_architecture& architecture, const gguf_file& file) {
  if (architecture.biases == detail::gguf_biases::attention || architecture.biases == detail::gguf_biases::everywhere) {
    config["attention_bias"] = file.contains("blk.0.attn_q.bias");
  }
  if (architecture.biases == detail::gguf_biases::everywhere) {
    config["mlp_bias"] = file.contains("blk.0.ffn_gate.bias");
  }
}

/// A window as Mistral has it, on every layer; Phi-3's files say 0 for none. Where it is as long as the context, no
/// token is out of sight.
void add_window(nlohmann::json& config, const gguf_architecture& architecture, gguf_hyperparameters& keys) {
  const std::int64_t window = keys.count("attention.sliding_window");
  if (architecture.name == "phi3") {
    config["sliding_window"] = window > 0 ? nlohmann::json(window) : nlohmann::json();
  } else if (window > 0 && window < config["max_position_embeddings"]) {
    const bool biased = config.value("attention_bias", false) || config.value("mlp_bias", false);
    if (architecture.name != "llama" || biased) {
      keys.refuse("attention.sliding_window", "no window, or one as long as context_length");
    }
    config["model_type"] = "mistral";
    config["architectures"] = {"MistralForCausalLM"};
    config["sliding_window"] = window;
  }
}

}  // namespace

nlohmann::json gguf_config(const gguf_file& file) {
  const gguf_metadata& metadata = file.metadata();
  if (metadata.text("general.type").value_or("model") != "model") {
    metadata.refuse("general.type", "\"model\"");
  }
  const gguf_architecture& architecture = detail::find_gguf_architecture(metadata);
  gguf_hyperparameters keys(metadata, architecture.name);
  nlohmann::json config = {{"model_type", architecture.model_type}, {"architectures", {architecture.architecture}}};
  add_sizes(config, keys, file);
  add_token_ids(config, metadata);
  add_biases(config, architecture, file);
  config["tie_word_embeddings"] = !file.contains("output.weight");
  if (architecture.is_gemma) {
    add_gemma(config, architecture, keys);
  } else {
    config["hidden_act"] = "silu";
    if (architecture.name == "smollm3") {
      config["no_rope_layer_interval"] = 4;  // no key says so. Source: ggml-org/llama.cpp
    }
    add_window(config, architecture, keys);
  }
  detail::add_rope(config, architecture, keys, file);
  keys.refuse_others();
  return config;
}

}  // namespace kvtransfer
