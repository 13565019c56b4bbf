#include "model/plan_checks.hpp"

#include <fmt/format.h>

#include <string>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "model/window_checks.hpp"

namespace kvtransfer::detail {

namespace {

/// A key written under `written` reads as the model's own if it was rotated the model's way; length-dependent types
/// count by type, since transformers too lets regimes meet in one cache.
bool reads_as(const rotary_specification& written, const rotary_specification& own, bool depends_on_length) {
  return written == own || (depends_on_length && written.rope_type == own.rope_type);
}

void require_rotated_for(const causal_lm& model, const rotary_specification& own, const layer_frame& frame,
                         std::int64_t layer) {
  const std::string what = fmt::format("layer {}", layer);
  const bool depends_on_length = model.config.rotary[static_cast<std::size_t>(layer)].depends_on_length();
  for (const position_row& row : frame.positions.rows()) {
    for (const position_run& run : row.runs()) {
      if (run.state.is_padding()) {
        continue;
      }
      if (!run.state.is_rotated()) {
        require<frame_error>(!own.rotates(), "plan", what, "rotated keys (rotate the cache first)",
                             "keys without rotation");
        continue;
      }
      const rotary_specification& written = frame.specifications[static_cast<std::size_t>(run.state.specification())];
      if (!reads_as(written, own, depends_on_length)) {
        fail<frame_error>("plan", what, fmt::format("keys rotated as the model does ({})", describe(own)),
                          describe(written));
      }
    }
  }
}

void require_fits(const causal_lm& model, const segment& part, std::int64_t batch, std::int64_t layer) {
  const cache_extents found = part.kv.extents();
  const cache_extents expected{batch, model.config.kv_heads, found.seq, model.config.head_dim};
  if (!(found == expected) || part.kv.values().size(3) != model.config.head_dim) {
    fail<shape_error>("plan", fmt::format("layer {}", layer), fmt::format("{}", expected), fmt::format("{}", found));
  }
  if (part.kv.device() != model.device()) {
    fail<device_error>("plan", fmt::format("layer {}", layer), model.device().str(), part.kv.device().str());
  }
}

}  // namespace

void require_positions_known(const model_config& config, const position_map& positions) {
  for (const position_row& row : positions.rows()) {
    const std::int64_t last = row.last_position().value_or(0);
    if (last >= config.max_position_embeddings) {
      fail<value_error>("plan", "positions",
                        fmt::format("below max_position_embeddings = {}", config.max_position_embeddings),
                        fmt::format("{}", last));
    }
  }
}

void require_tokens_known(const model_config& config, const std::vector<std::vector<std::int64_t>>& rows) {
  for (const std::vector<std::int64_t>& row : rows) {
    for (const std::int64_t id : row) {
      if (id < 0 || id >= config.vocab_size) {
        fail<value_error>("plan", "token_ids", fmt::format("0 <= id < vocab_size = {}", config.vocab_size),
                          fmt::format("{}", id));
      }
    }
  }
}

void require_runnable(const causal_lm& model, const plan& input) {
  require_tokens_known(model.config, input.token_ids);
  require_positions_known(model.config, input.positions);
  if (input.layers.empty()) {
    return;
  }
  if (static_cast<std::int64_t>(input.layers.size()) != model.config.layers) {
    fail<shape_error>("plan", "layers", fmt::format("{}", model.config.layers), fmt::format("{}", input.layers.size()));
  }
  if (!input.origin.assumed && !input.origin.model.empty() && input.origin.model != model.fingerprint) {
    fail<frame_error>("plan", "model", fmt::format("a cache written by {}", model.fingerprint), input.origin.model);
  }
  const std::vector<rotary_specification> own = rotary_specifications(model.config);
  for (std::int64_t layer = 0; layer < model.config.layers; ++layer) {
    for (const segment& part : input.segments(layer)) {
      require_fits(model, part, input.batch(), layer);
      if (!input.origin.assumed) {
        require_rotated_for(model, own[static_cast<std::size_t>(layer)], part.kv.frame(), layer);
      }
    }
  }
  if (!input.origin.assumed) {
    require_windows_filled(model.config, input);
  }
}

}  // namespace kvtransfer::detail
