#include "model/architectures/architecture.hpp"
#include "model/architectures/blocks.hpp"

namespace kvtransfer::detail {

namespace {

/// Phi-3, 3.5 and 4: fused projections, and a window on every layer where there is one.
/// Source: transformers, modeling_phi3.py and Phi3Config.
void choose_phi3_blocks(const json_fields& fields, model_config& config) {
  config.fuses_projections = true;
  config.activation = read_activation(fields, "hidden_act", "silu");
  set_window_everywhere(fields, std::nullopt, config);
  // Phi-4-mini's files name these, at the one value that transformers computes.
  require_only(fields, "full_attn_mod", 1);
  require_only(fields, "interpolate_factor", 1);
}

}  // namespace

architecture phi3() {
  return {.model_type = "phi3",
          .defaults = {.max_position_embeddings = 4096, .rms_norm_eps = 1e-5, .bos_token_id = 1},
          .choose_blocks = choose_phi3_blocks};
}

}  // namespace kvtransfer::detail
