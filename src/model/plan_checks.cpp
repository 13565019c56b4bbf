#include "model/plan_checks.hpp"

#include <c10/core/ScalarType.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/attention_mask.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "model/model_snapshot.hpp"
#include "model/rotation_check.hpp"
#include "model/window_checks.hpp"

namespace kvtransfer::detail {

namespace {

/// Nothing is converted in passing: a rounding that nobody asked for is a change of the numbers.
void require_dtype(const causal_lm& model, at::ScalarType dtype, std::int64_t layer, std::string_view what) {
  if (dtype != model.dtype()) {
    fail<frame_error>(
        "plan", fmt::format("layer {}", layer),
        fmt::format("{} in the model's {} (with_dtype converts a cache)", what, c10::toString(model.dtype())),
        c10::toString(dtype));
  }
}

void require_fits(const causal_lm& model, const segment& part, std::int64_t batch, std::int64_t layer) {
  const std::string where = fmt::format("layer {}", layer);
  const at::Tensor& values = part.kv().stored_values();
  const cache_extents found = part.kv().extents();
  const cache_extents expected{batch, model.config.kv_heads, found.seq, model.config.head_dim};
  if (!(found == expected)) {
    fail<shape_error>("plan", where, fmt::format("{}", expected), fmt::format("{}", found));
  }
  if (values.size(3) != model.config.head_dim) {
    fail<shape_error>("plan", where, fmt::format("values {}", expected), describe(values));
  }
  if (part.kv().device() != model.device()) {
    fail<device_error>("plan", where, model.device().str(), part.kv().device().str());
  }
  require_dtype(model, part.kv().dtype(), layer, "keys");
  require_dtype(model, values.scalar_type(), layer, "values");
  require_count<frame_error>(part.kv().frame().positions.streams(), 1, "plan", where, "{} stream of positions");
  if (part.visible.defined()) {
    require_visibility_fits(part);
  }
}

/// A segment says itself whose keys it holds, and of which layer, so that one plan can neither mix two models' caches
/// nor read a layer's keys in another.
/// @param changed what of the model is not as its identity says
void require_own_origin(const causal_lm& model, const std::string& changed, const segment& part, std::int64_t layer) {
  if (part.origin().assumed() || part.kv().size() == 0) {
    return;
  }
  const std::string where = fmt::format("plan: layer {}", layer);
  require<frame_error>(changed.empty(), where, "model",
                       "one that is as its identity says (causal_lm::of makes one of what was changed)",
                       formatted("a change of {}", changed));
  require_origin(part.origin().origin(), model.identity, where);
  require<frame_error>(part.layer() == layer, where, "segment",
                       formatted("one of a cache's layer {} (assume_frame lets another in)", layer),
                       formatted("one of layer {}", part.layer()));
}

/// Every token has a position, and shorter sequences have padding in front, as `plan` says.
void require_aligned(const plan& input) {
  const position_map& positions = input.positions;
  const std::int64_t longest = longest_row(input.token_ids, "plan");
  if (positions.streams() != 1 || positions.batch() != input.batch() || positions.heads() != 1 ||
      positions.size() != longest) {
    fail<shape_error>("plan", "positions", fmt::format("[streams=1, batch={}, 1, seq={}]", input.batch(), longest),
                      fmt::format("[streams={}, batch={}, {}, seq={}]", positions.streams(), positions.batch(),
                                  positions.heads(), positions.size()));
  }
  for (std::int64_t b = 0; b < input.batch(); ++b) {
    const auto count = static_cast<std::int64_t>(input.token_ids[static_cast<std::size_t>(b)].size());
    const position_row& row = positions.row(0, b, 0);
    const auto is_key = [](const position_run& run) { return run.state == slot_state::rotated(); };
    const bool padded = row.slice(0, longest - count).key_count() == 0;
    const position_row tokens = row.slice(longest - count, longest);
    if (!padded || !std::ranges::all_of(tokens.runs(), is_key)) {
      fail<frame_error>(
          "plan", fmt::format("positions of sequence {}", b),
          fmt::format("{} rotated keys behind {} slots of padding", count, longest - count),
          fmt::format("{} keys, {} of them at the sequence's tokens", row.key_count(), tokens.key_count()));
    }
  }
}

}  // namespace

void require_positions_known(const model_config& config, const position_map& positions) {
  const std::optional<std::int64_t> limit = position_limit(config);
  for (const position_row& row : positions.rows()) {
    const std::int64_t last = row.last_position().value_or(0);
    if (limit && last >= *limit) {
      fail<value_error>("plan", "positions",
                        fmt::format("below {} (max_position_embeddings = {})", *limit, config.max_position_embeddings),
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
  require_aligned(input);
  require_tokens_known(model.config, input.token_ids);
  require_positions_known(model.config, input.positions);
  require_weights_on_disk_unchanged(model);
  if (input.layers.empty()) {
    return;
  }
  const std::string changed = model.changed();
  // A cache of fewer layers would silently go into the first ones, wherever its layers come from.
  require_count<frame_error>(input.layers.size(), model.config.layers, "plan", "layers", "the model's {} layers");
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
      require_own_origin(model, changed, part, layer);
      if (!part.origin().assumed() && !is_checked(part.kv().shared_frame().get(), layer)) {
        require_rotated_by(model.config.rotary[static_cast<std::size_t>(layer)], part.kv().frame(),
                           fmt::format("layer {}", layer));
      }
    }
  }
  if (!input.assumed()) {
    require_windows_filled(model.config, input);
  }
}

}  // namespace kvtransfer::detail
