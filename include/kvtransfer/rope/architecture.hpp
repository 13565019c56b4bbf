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
  all,                     ///< every layer with attention
  none,                    ///< attention has no positions at all (Jamba)
  listed,                  ///< those with a 1 in `no_rope_layers`, else all but every `no_rope_layer_interval`-th
  sliding,                 ///< layers of type `sliding_attention`
  sliding_windows,         ///< likewise, and `sliding_window` may not be null
  sliding_windows_if_any,  ///< likewise, but all where `sliding_window` is null (EXAONE 4)
};

/// Where a model's full-attention layers stand if its config lists no `layer_types`: layer i with
/// i mod period = phase, the first `lead` layers, and the last one if `last`.
struct layer_pattern {
  std::int64_t period = 0;                       ///< layers; 0: all are full
  std::int64_t phase = -1;                       ///< -1: the last of each period
  std::int64_t lead = 0;                         ///< layers
  bool last = false;                             ///< whether the last layer is full too
  std::string_view other = "sliding_attention";  ///< the type of all others
  std::string_view period_key = {};              ///< what a config calls its own period
};

/// Two bases by layer, as configs spelled them before `rope_parameters` could be nested.
struct two_bases {
  std::string_view full_key;     ///< what a config calls the full-attention layers' base
  double full_theta = 1e6;       ///< where the config has none
  std::string_view sliding_key;  ///< empty: a config cannot change it
  double sliding_theta = 1e4;    ///< where the config has none
  bool scales_both = false;      ///< whether `rope_scaling` reaches the sliding layers too
};

/// What a `model_type` decides that its config.json does not say.
struct architecture {
  std::string_view refused = {};        ///< why its keys cannot be moved; empty where they can
  std::string_view text_type = {};      ///< for a multimodal model: the `model_type` of a `text_config` that names none
  pairing pairs = pairing::half_split;  ///< which elements of a head rotate together
  double theta = 1e4;                   ///< where the config has none

  /// The share of a head that rotates where the config names none. Without a value the model rotates whole heads,
  /// whatever the config says.
  std::optional<double> partial_rotary_factor = {};
  std::int64_t head_dim = 0;         ///< elements, where the config has none; 0: hidden_size / heads
  std::int64_t global_head_dim = 0;  ///< elements, likewise, of full-attention layers; 0: as all others
  std::int64_t head_multiple = 1;    ///< heads are this many times hidden_size / heads wide (Zamba 2)
  bool derives_head_dim = false;     ///< true where the config's `head_dim` is not read
  std::int64_t original_length = 0;  ///< tokens: `original_max_position_embeddings` where the config has none beside
  std::string_view theta_key = "rope_theta";               ///< what a config calls its base
  std::string_view partial_key = "partial_rotary_factor";  ///< empty: a config cannot change it
  std::string_view width_key = {};                         ///< a config's rotary width in elements
  std::string_view head_dim_key = "head_dim";              ///< what a config calls a head's width
  std::int64_t rotary_dim = 0;                             ///< elements, where a config has no `width_key`

  rotating_layers layers = rotating_layers::all;     ///< which layers carry RoPE
  layer_pattern pattern = {};                        ///< where the config lists no layer types
  std::string_view layer_types_key = "layer_types";  ///< what a config calls that list
  std::string_view full_layers_key =
      {};  ///< a list of the numbers of full-attention layers; the others are `pattern.other`
  std::int64_t layers_per_block = 1;       ///< layers with a cache of each that `num_layers` counts (LongCat-Flash)
  bool lists_layers = false;               ///< true where no rule says which layers are which: a config has to
  std::string_view rotates_if_key = {};    ///< RoPE only where this field …
  std::string_view rotates_if_value = {};  ///< … has this value, as JSON
  std::string_view layer_theta_key = {};   ///< a list of bases by layer, 0 for a layer without RoPE

  bool by_layer_type = false;                ///< `rope_parameters` is nested by layer type
  bool null_is_no_rope = false;              ///< a null in there is a layer type without RoPE
  std::string_view default_parameters = {};  ///< JSON: `rope_parameters` where the config has none
  std::optional<two_bases> bases = {};       ///< nothing: one base, or `rope_parameters` says it

  std::map<std::string, std::string, std::less<>> renamed_types = {};  ///< a config's name of a type to ours
  bool ntk_alpha = false;         ///< "dynamic" with an `alpha` stretches the base once
  bool mscale_by_length = false;  ///< attention is scaled by `short_mscale` or `long_mscale` (Phi-3.5-MoE)

  bool latent = false;                      ///< MLA: the cache row is `kv_lora_rank` elements, then those that rotate
  std::int64_t qk_rope_head_dim = 0;        ///< elements, where the config has none
  std::optional<pairing> vllm_pairs = {};   ///< of an MLA row that vLLM wrote, where it isn't `pairs`
  mrope_layout mrope = mrope_layout::none;  ///< how a head's frequencies are dealt out to streams
  std::vector<std::int64_t> mrope_sections = {};  ///< where the config has none
  bool rotates_backwards = false;                 ///< angles are −p·f (nanochat)
  bool norms_after_rotation = false;              ///< a weighted norm follows RoPE
};

/// Architectures by `model_type`. One of your own is one more entry in a copy.
using architecture_table = std::map<std::string, architecture, std::less<>>;

/// The entry for `model_type`.
/// @throws value_error with the known ones: keys of a model that nobody listed may be rotated in any way, or not at all
[[nodiscard]] const architecture& architecture_of(const architecture_table& table, std::string_view model_type);

}  // namespace kvtransfer::rope

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/rope/detail/architecture.ipp"  // IWYU pragma: export
#endif
