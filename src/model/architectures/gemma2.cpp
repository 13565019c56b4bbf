#include <nlohmann/json.hpp>

#include "model/architectures/architecture.hpp"
#include "model/architectures/blocks.hpp"

namespace kvtransfer::detail {

namespace {

/// Gemma 2: four norms a layer, capped scores and logits, embeddings scaled by √hidden_size, every second layer with a
/// window. Source: transformers, modeling_gemma2.py and Gemma2Config.
void choose_gemma2_blocks(const json_fields& fields, model_config& config) {
  set_gemma_blocks(fields, config);
  for (attention_specification& layer : config.attention) {
    layer.softcap = fields.optional_number("attn_logit_softcapping", 50.0);
  }
  config.final_softcap = fields.optional_number("final_logit_softcapping", 30.0);
  set_gemma_windows(fields, 2, config);
  // Gemma 2 9B's and 27B's files repeat the window under this name, which transformers does not read.
  if (const nlohmann::json* window = fields.find("sliding_window"); window != nullptr) {
    require_only(fields, "sliding_window_size", *window);
  }
}

}  // namespace

architecture gemma2() {
  return {.model_type = "gemma2",
          .defaults = {.kv_heads = 4,
                       .head_dim = 256,
                       .max_position_embeddings = 8192,
                       .tie_word_embeddings = true,
                       .bos_token_id = 2},
          .choose_blocks = choose_gemma2_blocks};
}

}  // namespace kvtransfer::detail
