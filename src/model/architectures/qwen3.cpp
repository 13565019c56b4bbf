#include "model/architectures/architecture.hpp"
#include "model/architectures/blocks.hpp"

namespace kvtransfer::detail {

namespace {

/// Qwen 3: each head of queries and keys has a norm in front of the rotation.
/// Source: transformers, modeling_qwen3.py and Qwen3Config.
void choose_qwen3_blocks(const json_fields& fields, model_config& config) {
  set_attention_bias(fields, config);
  config.norms_queries_and_keys = true;
  config.activation = read_activation(fields, "hidden_act", "silu");
  set_windows_from_layer(fields, 28, config);
}

}  // namespace

architecture qwen3() {
  return {.model_type = "qwen3",
          .defaults = {.kv_heads = 32, .head_dim = 128, .max_position_embeddings = 32768},
          .choose_blocks = choose_qwen3_blocks};
}

}  // namespace kvtransfer::detail
