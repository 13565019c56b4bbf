#include "model/architectures/architecture.hpp"
#include "model/architectures/blocks.hpp"

namespace kvtransfer::detail {

namespace {

/// Llama with a window on every layer. Source: transformers, modeling_mistral.py and MistralConfig.
void choose_mistral_blocks(const json_fields& fields, model_config& config) {
  config.activation = read_activation(fields, "hidden_act", "silu");
  set_window_everywhere(fields, 4096, config);
}

}  // namespace

architecture mistral() {
  return {.model_type = "mistral",
          .defaults = {.kv_heads = 8, .max_position_embeddings = 131072, .bos_token_id = 1},
          .choose_blocks = choose_mistral_blocks};
}

}  // namespace kvtransfer::detail
