#include "model/plan_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "model/rotation_check.hpp"
#include "model/window_checks.hpp"

namespace kvtransfer::detail {

namespace {

void require_fits(const causal_lm& model, const segment& part, std::int64_t batch, std::int64_t layer) {
  const cache_extents found = part.kv.extents();
  const cache_extents expected{batch, model.config.kv_heads, found.seq, model.config.head_dim};
  if (!(found == expected) || part.kv.values().size(3) != model.config.head_dim) {
    fail<shape_error>("plan", fmt::format("layer {}", layer), fmt::format("{}", expected), fmt::format("{}", found));
  }
  const auto require_dtype = [&](at::ScalarType dtype) {
    require<frame_error>(dtype == model.dtype(), "plan", fmt::format("layer {}", layer),
                         fmt::format("a cache in {}, the model's type", at::toString(model.dtype())),
                         at::toString(dtype));
  };
  require_dtype(part.kv.dtype());
  require_dtype(part.kv.values().scalar_type());
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
  if (!input.origin.assumed) {
    require_origin(input.origin.written_by, model.identity, "plan");
  }
  // Layers that share a frame and rotate alike are checked once: a dynamic type has a specification a token.
  std::vector<std::pair<const layer_frame*, std::int64_t>> checked;
  const auto is_checked = [&](const layer_frame* frame, std::int64_t layer) {
    const auto& rotary = model.config.rotary;
    const bool known = std::ranges::any_of(checked, [&](const auto& earlier) {
      return earlier.first == frame &&
             rotary[static_cast<std::size_t>(earlier.second)].computes_as(rotary[static_cast<std::size_t>(layer)]);
    });
    checked.emplace_back(frame, layer);
    return known;
  };
  for (std::int64_t layer = 0; layer < model.config.layers; ++layer) {
    for (const segment& part : input.segments(layer)) {
      require_fits(model, part, input.batch(), layer);
      if (!input.origin.assumed && !is_checked(part.kv.shared_frame().get(), layer)) {
        require_rotated_by(model.config.rotary[static_cast<std::size_t>(layer)], part.kv.frame(),
                           fmt::format("layer {}", layer));
      }
    }
  }
  if (!input.origin.assumed) {
    require_windows_filled(model.config, input);
  }
}

}  // namespace kvtransfer::detail
