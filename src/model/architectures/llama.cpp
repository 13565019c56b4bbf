#include "model/architectures/architecture.hpp"
#include "model/architectures/blocks.hpp"

namespace kvtransfer::detail {

namespace {

/// Llama 1, 2 and 3, and what others trained in their shape: TinyLlama, SmolLM 2, Yi, DeepSeek's first.
/// Source: transformers, modeling_llama.py and LlamaConfig.
void choose_llama_blocks(const json_fields& fields, model_config& config) { set_llama_blocks(fields, config); }

}  // namespace

architecture llama() {
  return {.model_type = "llama",
          .defaults = {.max_position_embeddings = 2048, .bos_token_id = 1},
          .choose_blocks = choose_llama_blocks};
}

}  // namespace kvtransfer::detail
