#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/rope/detail/mrope_sections.hpp"
#include "kvtransfer/rope/pairing.hpp"

namespace kvtransfer::rope {

/// Which layers of a model carry RoPE.
enum class rotating_layers : std::uint8_t {
  all,
  listed,                  ///< those with a 1 in `no_rope_layers`, else all but every `no_rope_layer_interval`-th
  sliding_windows,         ///< those with a sliding window: layers that see everything have no positions
  sliding_windows_if_any,  ///< likewise, but all where the config has no window (EXAONE 4)
  none,                    ///< positions are learned vectors, or biases on the scores
};

/// Two bases by layer, as configs spelled them before `rope_parameters` could be nested.
struct two_bases {
  std::string_view full_key;
  double full_theta = 1e6;
  std::string_view sliding_key;
  double sliding_theta = 1e4;
  bool scales_both = false;  ///< whether `rope_scaling` reaches the sliding layers too
};

/// What a `model_type` decides that its config.json does not say.
struct architecture {
  pairing pairs = pairing::half_split;
  double theta = 1e4;                  ///< where the config has none
  double partial_rotary_factor = 1.0;  ///< likewise
  rotating_layers layers = rotating_layers::all;
  std::int64_t full_attention_every = 0;  ///< where the config lists no `layer_types`; 0: all layers see everything
  bool full_attention_first = false;      ///< whether the period starts with the full layer or ends with it
  std::optional<two_bases> bases = {};
  mrope_layout mrope = mrope_layout::none;
  std::vector<std::int64_t> mrope_sections = {};  ///< where the config has none
  bool rotates_backwards = false;                   ///< angles are −p·f (nanochat)
  bool norms_after_rotation = false;              ///< a weighted norm follows RoPE
};

/// Architectures by `model_type`. One of your own is one more entry in a copy.
using architecture_table = std::map<std::string, architecture, std::less<>>;

/// Every architecture in transformers that differs from Llama's conventions in how its keys are rotated.
/// Source: transformers 5.23, models/*/modeling_*.py and configuration_*.py
inline const architecture_table& builtin_architectures() {
  constexpr auto interleaved = pairing::interleaved;
  const two_bases gemma = {"rope_theta", 1e6, "rope_local_base_freq", 1e4};
  const two_bases modernbert = {"global_rope_theta", 1.6e5, "local_rope_theta", 1e4, true};
  const two_bases olmo = {"rope_theta", 5e5, "rope_theta", 5e5};
  static const architecture_table table = {
      {"afmoe", {.layers = rotating_layers::sliding_windows, .full_attention_every = 4}},
      {"apertus", {.theta = 1.2e7}},
      {"bamba", {.partial_rotary_factor = 0.5}},
      {"bitnet", {.theta = 5e5}},
      {"bloom", {.layers = rotating_layers::none}},
      {"codegen", {.pairs = interleaved}},
      {"cohere", {.pairs = interleaved, .theta = 5e5}},
      {"cohere2", {.pairs = interleaved, .layers = rotating_layers::sliding_windows, .full_attention_every = 4}},
      {"cohere2_moe", {.pairs = interleaved, .layers = rotating_layers::sliding_windows, .full_attention_every = 4}},
      {"cwm", {.theta = 1e6}},
      {"deepseek_v2", {.pairs = interleaved}},
      {"ernie4_5", {.pairs = interleaved, .theta = 5e5}},
      {"ernie4_5_moe", {.pairs = interleaved, .theta = 5e5}},
      {"ernie4_5_vl_moe_text",
       {.pairs = interleaved, .theta = 5e5, .mrope = mrope_layout::height_width, .mrope_sections = {22, 22, 20}}},
      {"exaone4", {.layers = rotating_layers::sliding_windows_if_any, .full_attention_every = 4}},
      {"exaone_moe", {.layers = rotating_layers::sliding_windows_if_any, .full_attention_every = 4}},
      {"flex_olmo", {.theta = 5e5}},
      {"gemma3_text", {.full_attention_every = 6, .bases = gemma}},
      {"gemma3n_text", {.full_attention_every = 5, .bases = gemma}},
      {"glm", {.pairs = interleaved, .partial_rotary_factor = 0.5}},
      {"glm4", {.pairs = interleaved, .partial_rotary_factor = 0.5}},
      {"glm4_moe", {.partial_rotary_factor = 0.5}},
      {"glm4v_moe_text",
       {.partial_rotary_factor = 0.5, .mrope = mrope_layout::contiguous, .mrope_sections = {8, 12, 12}}},
      {"glm4v_text", {.pairs = interleaved, .mrope = mrope_layout::contiguous, .mrope_sections = {8, 12, 12}}},
      {"glm_image_text", {.mrope = mrope_layout::contiguous, .mrope_sections = {8, 12, 12}}},
      {"glm_ocr_text", {.pairs = interleaved, .mrope = mrope_layout::contiguous, .mrope_sections = {8, 12, 12}}},
      {"gpt2", {.layers = rotating_layers::none}},
      {"gpt_bigcode", {.layers = rotating_layers::none}},
      {"gpt_neo", {.layers = rotating_layers::none}},
      {"gpt_neox", {.partial_rotary_factor = 0.25}},
      {"gpt_oss", {.theta = 1.5e5}},
      {"gptj", {.pairs = interleaved}},
      {"helium", {.pairs = interleaved, .theta = 1e5}},
      {"hunyuan_v1_dense", {.norms_after_rotation = true}},
      {"hunyuan_v1_moe", {.norms_after_rotation = true}},
      {"hy_v3", {.theta = 11158840.0}},
      {"lfm2", {.theta = 1e6}},
      {"lfm2_moe", {.theta = 1e6}},
      {"llama4_text", {.pairs = interleaved, .theta = 5e5, .layers = rotating_layers::listed}},
      {"longcat_flash", {.theta = 1e7}},
      {"minimax", {.theta = 1e6}},
      {"minimax_m2", {.theta = 5e6}},
      {"mixtral", {.theta = 1e6}},
      {"mllama_text_model", {.theta = 5e5}},
      {"modernbert", {.full_attention_every = 3, .full_attention_first = true, .bases = modernbert}},
      {"modernbert-decoder", {.full_attention_every = 3, .full_attention_first = true, .bases = modernbert}},
      {"moonshine", {.pairs = interleaved, .partial_rotary_factor = 0.9}},
      {"mpt", {.layers = rotating_layers::none}},
      {"nanochat", {.rotates_backwards = true}},
      {"nemotron", {.partial_rotary_factor = 0.5}},
      {"olmo3", {.theta = 5e5, .full_attention_every = 4, .bases = olmo}},
      {"opt", {.layers = rotating_layers::none}},
      {"paddleocr_vl_text", {.theta = 5e5, .mrope = mrope_layout::contiguous, .mrope_sections = {16, 24, 24}}},
      {"persimmon", {.partial_rotary_factor = 0.5}},
      {"phi", {.partial_rotary_factor = 0.5}},
      {"phimoe", {.theta = 1e6}},
      {"qwen2_5_omni_text", {.theta = 1e6, .mrope = mrope_layout::contiguous, .mrope_sections = {16, 24, 24}}},
      {"qwen2_5_vl", {.theta = 1e6, .mrope = mrope_layout::contiguous, .mrope_sections = {16, 24, 24}}},
      {"qwen2_5_vl_text", {.theta = 1e6, .mrope = mrope_layout::contiguous, .mrope_sections = {16, 24, 24}}},
      {"qwen2_vl", {.theta = 1e6, .mrope = mrope_layout::contiguous, .mrope_sections = {16, 24, 24}}},
      {"qwen2_vl_text", {.theta = 1e6, .mrope = mrope_layout::contiguous, .mrope_sections = {16, 24, 24}}},
      {"qwen3_5_moe_text",
       {.partial_rotary_factor = 0.25, .mrope = mrope_layout::interleaved, .mrope_sections = {11, 11, 10}}},
      {"qwen3_5_text",
       {.partial_rotary_factor = 0.25, .mrope = mrope_layout::interleaved, .mrope_sections = {11, 11, 10}}},
      {"qwen3_next", {.partial_rotary_factor = 0.25}},
      {"qwen3_omni_moe_text", {.theta = 1e6, .mrope = mrope_layout::interleaved, .mrope_sections = {24, 20, 20}}},
      {"qwen3_vl_moe_text", {.theta = 5e5, .mrope = mrope_layout::interleaved, .mrope_sections = {24, 20, 20}}},
      {"qwen3_vl_text", {.theta = 5e5, .mrope = mrope_layout::interleaved, .mrope_sections = {24, 20, 20}}},
      {"smollm3", {.theta = 2e6, .layers = rotating_layers::listed}},
      {"solar_open", {.theta = 1e6}},
      {"stablelm", {.partial_rotary_factor = 0.25}},
  };
  return table;
}

/// The entry for `model_type`; Llama's conventions where there is none.
inline architecture architecture_of(const architecture_table& table, std::string_view model_type) {
  const auto found = table.find(model_type);
  return found == table.end() ? architecture{} : found->second;
}

}  // namespace kvtransfer::rope
