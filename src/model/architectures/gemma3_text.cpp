#include "model/architectures/architecture.hpp"
#include "model/architectures/blocks.hpp"

namespace kvtransfer::detail {

namespace {

/// Gemma 3's decoder: as Gemma 2, with norms over heads instead of capped scores, and five layers with a window to one
/// without. Source: transformers, modeling_gemma3.py and Gemma3TextConfig.
void choose_gemma3_text_blocks(const json_fields& fields, model_config& config) {
  set_gemma_blocks(fields, config);
  config.norms_queries_and_keys = true;
  // Read and not used: transformers hands it to no attention of this architecture.
  (void)fields.optional_number("attn_logit_softcapping", std::nullopt);
  config.final_softcap = fields.optional_number("final_logit_softcapping", std::nullopt);
  set_gemma_windows(fields, fields.size("sliding_window_pattern", 6), config);
}

}  // namespace

architecture gemma3_text() {
  return {.model_type = "gemma3_text",
          .defaults = {.q_heads = 8,
                       .vocab_size = 262208,
                       .kv_heads = 4,
                       .head_dim = 256,
                       .max_position_embeddings = 131072,
                       .tie_word_embeddings = true,
                       .bos_token_id = 2},
          .rotary_keys = {"rope_local_base_freq", "layer_types", "sliding_window_pattern"},
          .choose_blocks = choose_gemma3_text_blocks};
}

}  // namespace kvtransfer::detail
