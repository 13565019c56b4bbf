#include "gguf_architecture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

namespace kvtransfer::detail {

namespace {

// Source: ggml-org/llama.cpp, conversion/*.py, which write these files; the `gguf` package, tensor_mapping.py.
constexpr std::array<gguf_architecture, 7> architectures{{
    {.name = "llama",
     .model_type = "llama",
     .architecture = "LlamaForCausalLM",
     .biases = gguf_biases::everywhere,
     .permutes_heads = true},
    {.name = "qwen2",
     .model_type = "qwen2",
     .architecture = "Qwen2ForCausalLM",
     .biases = gguf_biases::queries_keys_values},
    {.name = "qwen3",
     .model_type = "qwen3",
     .architecture = "Qwen3ForCausalLM",
     .biases = gguf_biases::attention,
     .norms_heads = true},
    {.name = "gemma2", .model_type = "gemma2", .architecture = "Gemma2ForCausalLM", .is_gemma = true},
    {.name = "gemma3",
     .model_type = "gemma3_text",
     .architecture = "Gemma3ForCausalLM",
     .is_gemma = true,
     .norms_heads = true},
    {.name = "phi3", .model_type = "phi3", .architecture = "Phi3ForCausalLM", .fuses_projections = true},
    {.name = "smollm3", .model_type = "smollm3", .architecture = "SmolLM3ForCausalLM", .permutes_heads = true},
}};

struct renaming {
  std::string_view gguf;
  std::string_view transformers;
};

constexpr renaming outside_layers[] = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
constexpr renaming separate_projections[] = {{"attn_q", "self_attn.q_proj"}, {"attn_k", "self_attn.k_proj"},
                                             {"attn_v", "self_attn.v_proj"}, {"attn_output", "self_attn.o_proj"},
                                             {"ffn_gate", "mlp.gate_proj"},  {"ffn_up", "mlp.up_proj"},
                                             {"ffn_down", "mlp.down_proj"}};
constexpr renaming fused_projections[] = {{"attn_qkv", "self_attn.qkv_proj"},
                                          {"attn_output", "self_attn.o_proj"},
                                          {"ffn_up", "mlp.gate_up_proj"},
                                          {"ffn_down", "mlp.down_proj"}};
constexpr renaming two_norms[] = {{"attn_norm", "input_layernorm"}, {"ffn_norm", "post_attention_layernorm"}};
constexpr renaming four_norms[] = {{"attn_norm", "input_layernorm"},
                                   {"post_attention_norm", "post_attention_layernorm"},
                                   {"ffn_norm", "pre_feedforward_layernorm"},
                                   {"post_ffw_norm", "post_feedforward_layernorm"}};
constexpr renaming head_norms[] = {{"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"}};

std::optional<std::string_view> renamed(std::span<const renaming> names, std::string_view stem) {
  const auto found = std::find_if(names.begin(), names.end(), [&](const renaming& name) { return name.gguf == stem; });
  return found == names.end() ? std::nullopt : std::optional(found->transformers);
}

std::optional<std::string_view> renamed_in_layer(const gguf_architecture& architecture, std::string_view stem,
                                                 bool bias) {
  using projections = std::span<const renaming>;
  const auto projection = renamed(
      architecture.fuses_projections ? projections(fused_projections) : projections(separate_projections), stem);
  if (projection || bias) {
    return projection;
  }
  const auto norm = renamed(architecture.is_gemma ? projections(four_norms) : projections(two_norms), stem);
  return norm || !architecture.norms_heads ? norm : renamed(head_norms, stem);
}

bool may_have_bias(gguf_biases biases, std::string_view stem) {
  const bool attention = stem.starts_with("attn_");
  return biases == gguf_biases::everywhere || (biases == gguf_biases::attention && attention) ||
         (biases == gguf_biases::queries_keys_values && attention && stem != "attn_output");
}

/// The layer's number in front of a dot, in its one spelling: no sign, no leading zero.
std::optional<std::int64_t> layer_number(std::string_view digits) {
  std::int64_t number = -1;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool plain = read.ec == std::errc() && number >= 0 && fmt::format("{}", number) == digits;
  return plain ? std::optional(number) : std::nullopt;
}

}  // namespace

const gguf_architecture& find_gguf_architecture(const gguf_metadata& metadata) {
  constexpr std::string_view key = "general.architecture";
  const auto name = metadata.text(key);
  std::string known;
  for (const gguf_architecture& architecture : architectures) {
    if (name == architecture.name) {
      return architecture;
    }
    known.append(known.empty() ? "one of " : ", ").append(architecture.name);
  }
  metadata.refuse(key, known);
}

std::optional<std::string> transformers_name(const gguf_architecture& architecture, std::string_view tensor,
                                             std::int64_t layers) {
  const std::size_t dot = tensor.rfind('.');
  const std::string_view suffix = dot == tensor.npos ? std::string_view() : tensor.substr(dot + 1);
  if (suffix != "weight" && suffix != "bias") {
    return std::nullopt;
  }
  const bool bias = suffix == "bias";
  std::string_view stem = tensor.substr(0, dot);
  constexpr std::string_view block = "blk.";
  if (!stem.starts_with(block)) {
    const auto name = bias ? std::nullopt : renamed(outside_layers, stem);
    return name ? std::optional(fmt::format("{}.weight", *name)) : std::nullopt;
  }
  stem.remove_prefix(block.size());
  const std::size_t end = std::min(stem.find('.'), stem.size());
  const auto layer = layer_number(stem.substr(0, end));
  stem.remove_prefix(std::min(end + 1, stem.size()));
  if (!layer || *layer >= layers || (bias && !may_have_bias(architecture.biases, stem))) {
    return std::nullopt;
  }
  const auto name = renamed_in_layer(architecture, stem, bias);
  return name ? std::optional(fmt::format("model.layers.{}.{}.{}", *layer, *name, suffix)) : std::nullopt;
}

bool is_rope_factors(const gguf_architecture& architecture, std::string_view tensor) {
  return (architecture.name == "llama" && tensor == "rope_freqs.weight") ||
         (architecture.name == "phi3" &&
          (tensor == "rope_factors_long.weight" || tensor == "rope_factors_short.weight"));
}

}  // namespace kvtransfer::detail
