#pragma once

#include <ATen/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/tensor/safetensors_writer.hpp"

namespace kvtransfer::bench {

/// Sizes of a Llama; TinyLlama 1.1B's, unless said otherwise.
struct llama_shape {
  std::int64_t layers = 22;
  std::int64_t hidden = 2048;
  std::int64_t intermediate = 5632;
  std::int64_t q_heads = 32;
  std::int64_t kv_heads = 4;
  std::int64_t vocabulary = 32000;

  /// Elements of a head.
  [[nodiscard]] std::int64_t head_dim() const { return hidden / q_heads; }
};

/// A parameter, under its names in both kinds of file.
struct named_parameter {
  std::string folder_name;
  std::string gguf_name;
  std::vector<std::int64_t> shape;
};

inline std::vector<named_parameter> layer_parameters(const llama_shape& shape, std::int64_t layer) {
  const std::int64_t kv = shape.kv_heads * shape.head_dim();
  const auto named = [&](std::string_view folder, std::string_view gguf, std::vector<std::int64_t> sizes) {
    return named_parameter{fmt::format("model.layers.{}.{}.weight", layer, folder),
                           fmt::format("blk.{}.{}.weight", layer, gguf), std::move(sizes)};
  };
  return {named("self_attn.q_proj", "attn_q", {shape.hidden, shape.hidden}),
          named("self_attn.k_proj", "attn_k", {kv, shape.hidden}),
          named("self_attn.v_proj", "attn_v", {kv, shape.hidden}),
          named("self_attn.o_proj", "attn_output", {shape.hidden, shape.hidden}),
          named("mlp.gate_proj", "ffn_gate", {shape.intermediate, shape.hidden}),
          named("mlp.up_proj", "ffn_up", {shape.intermediate, shape.hidden}),
          named("mlp.down_proj", "ffn_down", {shape.hidden, shape.intermediate}),
          named("input_layernorm", "attn_norm", {shape.hidden}),
          named("post_attention_layernorm", "ffn_norm", {shape.hidden})};
}

/// What stands outside the layers.
inline std::vector<named_parameter> outer_parameters(const llama_shape& shape) {
  return {{"model.embed_tokens.weight", "token_embd.weight", {shape.vocabulary, shape.hidden}},
          {"model.norm.weight", "output_norm.weight", {shape.hidden}},
          {"lm_head.weight", "output.weight", {shape.vocabulary, shape.hidden}}};
}

/// Normally distributed as a trained model's, and norms of one.
inline at::Tensor random_parameter(const std::vector<std::int64_t>& shape, at::ScalarType dtype) {
  return shape.size() == 1 ? at::ones(shape, dtype) : at::randn(shape, at::kFloat).mul_(0.02).to(dtype);
}

/// A folder in Hugging Face's layout, one shard a layer, so that no more than one is in memory.
inline void write_folder(const std::filesystem::path& folder, const llama_shape& shape, at::ScalarType dtype) {
  std::filesystem::create_directories(folder);
  nlohmann::json places = nlohmann::json::object();
  const auto write_shard = [&](std::int64_t number, const std::vector<named_parameter>& parameters) {
    const std::string file = fmt::format("model-{:05}-of-{:05}.safetensors", number, shape.layers + 1);
    std::vector<safetensors_declaration> declared;
    for (const named_parameter& each : parameters) {
      declared.push_back({each.folder_name, dtype, each.shape});
      places[each.folder_name] = file;
    }
    safetensors_writer writer(folder / file, declared, {{"format", "pt"}});
    for (const named_parameter& each : parameters) {
      writer.write(each.folder_name, random_parameter(each.shape, dtype));
    }
    writer.commit();
  };
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    write_shard(layer + 1, layer_parameters(shape, layer));
  }
  write_shard(shape.layers + 1, outer_parameters(shape));
  write_text(folder / "model.safetensors.index.json", nlohmann::json{{"weight_map", places}}.dump());
  const nlohmann::json config{{"architectures", {"LlamaForCausalLM"}},
                              {"model_type", "llama"},
                              {"hidden_size", shape.hidden},
                              {"intermediate_size", shape.intermediate},
                              {"num_hidden_layers", shape.layers},
                              {"num_attention_heads", shape.q_heads},
                              {"num_key_value_heads", shape.kv_heads},
                              {"vocab_size", shape.vocabulary},
                              {"max_position_embeddings", 2048},
                              {"rms_norm_eps", 1e-5},
                              {"rope_theta", 1e4},
                              {"tie_word_embeddings", false},
                              {"hidden_act", "silu"}};
  write_text(folder / "config.json", config.dump(2));
}

/// The head of a GGUF file, version 3: numbers, texts and descriptions of tensors one after the other.
class gguf_head {
 public:
  gguf_head& text(std::string_view key, std::string_view value) { return entry(key, 8).add(value); }
  gguf_head& number(std::string_view key, std::int64_t value) {
    return entry(key, 4).add(static_cast<std::uint32_t>(value));
  }
  gguf_head& real(std::string_view key, float value) { return entry(key, 6).add(value); }

  /// A tensor, at the next place that the alignment allows. @return where its data stands behind the head
  std::uint64_t tensor(const named_parameter& parameter, std::uint32_t type, std::uint64_t bytes) {
    const std::uint64_t place = data_;
    tensors_ += described(parameter, type, place);
    ++count_;
    data_ = aligned(data_ + bytes);
    return place;
  }

  [[nodiscard]] std::string bytes() const {
    std::string head = "GGUF" + raw(std::uint32_t{3}) + raw(count_) + raw(entries_) + metadata_ + tensors_;
    head.resize(aligned(head.size()));
    return head;
  }

 private:
  template <class Number>
  static std::string raw(Number number) {
    std::string bytes(sizeof number, '\0');
    std::memcpy(bytes.data(), &number, sizeof number);
    return bytes;
  }
  static std::string raw_text(std::string_view text) { return raw(std::uint64_t{text.size()}).append(text); }
  static std::uint64_t aligned(std::uint64_t bytes) { return (bytes + 31) / 32 * 32; }

  static std::string described(const named_parameter& parameter, std::uint32_t type, std::uint64_t place) {
    std::string info = raw_text(parameter.gguf_name) + raw(static_cast<std::uint32_t>(parameter.shape.size()));
    for (auto size = parameter.shape.rbegin(); size != parameter.shape.rend(); ++size) {
      info += raw(static_cast<std::uint64_t>(*size));
    }
    return info + raw(type) + raw(place);
  }

  gguf_head& entry(std::string_view key, std::uint32_t type) {
    ++entries_;
    metadata_ += raw_text(key) + raw(type);
    return *this;
  }
  gguf_head& add(std::string_view value) {
    metadata_ += raw_text(value);
    return *this;
  }
  template <class Number>
  gguf_head& add(Number number) {
    metadata_ += raw(number);
    return *this;
  }

  std::uint64_t entries_ = 0;
  std::uint64_t count_ = 0;
  std::uint64_t data_ = 0;
  std::string metadata_;
  std::string tensors_;
};

/// The same model's shape as one GGUF file: matrices fp16, norms fp32, as converters write it.
inline void write_gguf(const std::filesystem::path& path, const llama_shape& shape) {
  constexpr std::uint32_t f32 = 0;
  constexpr std::uint32_t f16 = 1;
  gguf_head head;
  head.text("general.architecture", "llama")
      .number("llama.block_count", shape.layers)
      .number("llama.context_length", 2048)
      .number("llama.embedding_length", shape.hidden)
      .number("llama.feed_forward_length", shape.intermediate)
      .number("llama.attention.head_count", shape.q_heads)
      .number("llama.attention.head_count_kv", shape.kv_heads)
      .real("llama.attention.layer_norm_rms_epsilon", 1e-5F)
      .real("llama.rope.freq_base", 1e4F);
  std::vector<named_parameter> parameters = outer_parameters(shape);
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    for (named_parameter& each : layer_parameters(shape, layer)) {
      parameters.push_back(std::move(each));
    }
  }
  std::vector<std::uint64_t> places;
  for (const named_parameter& each : parameters) {
    std::uint64_t elements = 1;
    for (const std::int64_t size : each.shape) {
      elements *= static_cast<std::uint64_t>(size);
    }
    const bool norm = each.shape.size() == 1;
    places.push_back(head.tensor(each, norm ? f32 : f16, elements * (norm ? 4 : 2)));
  }
  atomic_file file(path);
  const std::string bytes = head.bytes();
  file.write_at(0, std::as_bytes(std::span(bytes)));
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const bool norm = parameters[i].shape.size() == 1;
    const at::Tensor tensor = random_parameter(parameters[i].shape, norm ? at::kFloat : at::kHalf);
    file.write_at(bytes.size() + places[i], {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()});
  }
  file.commit();
}

}  // namespace kvtransfer::bench
