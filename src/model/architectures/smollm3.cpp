#include <cstddef>

#include "kvtransfer/rope/rotary_embedding.hpp"  // IWYU pragma: keep (config.hpp declares it only)
#include "model/architectures/architecture.hpp"
#include "model/architectures/blocks.hpp"

namespace kvtransfer::detail {

namespace {

/// SmolLM3: Llama with layers that do not rotate. Source: transformers, modeling_smollm3.py and SmolLM3Config.
void choose_smollm3_blocks(const json_fields& fields, model_config& config) {
  set_llama_blocks(fields, config);
  (void)fields.has("max_window_layers");  // in files, and nowhere read
  const bool windowed = fields.boolean("use_sliding_window", false) && fields.has("sliding_window");
  const std::optional<std::int64_t> window = windowed ? std::optional(fields.size("sliding_window")) : std::nullopt;
  std::vector<std::string> types = listed_layer_types(fields);
  for (std::int64_t layer = 0; !fields.has("layer_types") && layer < config.layers; ++layer) {
    const bool rotates = config.rotary[static_cast<std::size_t>(layer)].rotates();
    types.emplace_back(window && !rotates ? "sliding_attention" : "full_attention");
  }
  set_windows(fields, types, window, config);
}

}  // namespace

architecture smollm3() {
  return {.model_type = "smollm3",
          .defaults = {.kv_heads = 4,
                       .max_position_embeddings = 32768,
                       .tie_word_embeddings = true,
                       .bos_token_id = 128000},
          .rotary_keys = {"no_rope_layers", "no_rope_layer_interval"},
          .choose_blocks = choose_smollm3_blocks};
}

}  // namespace kvtransfer::detail
