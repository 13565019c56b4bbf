#include "model/architectures/architecture.hpp"

namespace kvtransfer::detail {

/// Gemma 3 that sees images: on text alone it computes what its decoder does.
/// Source: transformers, Gemma3ForConditionalGeneration.
architecture gemma3() {
  return {.model_type = "gemma3", .defaults = {}, .choose_blocks = nullptr, .text_architecture = "Gemma3ForCausalLM"};
}

}  // namespace kvtransfer::detail
