#include "model/architectures/architecture.hpp"
#include "model/architectures/blocks.hpp"

namespace kvtransfer::detail {

namespace {

/// Qwen 2 and 2.5: queries, keys and values have a bias, the output has none.
/// Source: transformers, modeling_qwen2.py and Qwen2Config.
void choose_qwen2_blocks(const json_fields& fields, model_config& config) {
  config.qkv_bias = true;
  config.activation = read_activation(fields, "hidden_act", "silu");
  set_windows_from_layer(fields, 28, config);
}

}  // namespace

architecture qwen2() {
  return {.model_type = "qwen2",
          .defaults = {.kv_heads = 32, .max_position_embeddings = 32768},
          .choose_blocks = choose_qwen2_blocks};
}

}  // namespace kvtransfer::detail
