#include "model/window_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_row.hpp"

namespace kvtransfer::detail {

namespace {

/// Where the keys of every head of one layer stand in sequence `batch`, padding left out.
std::vector<position_row> keys_of(const plan& input, std::int64_t layer, std::int64_t batch) {
  std::int64_t heads = 1;
  for (const segment& part : input.segments(layer)) {
    heads = std::max(heads, part.kv().frame().positions.heads());
  }
  std::vector<position_row> rows(static_cast<std::size_t>(heads));
  for (const segment& part : input.segments(layer)) {
    const position_map& positions = part.kv().frame().positions;
    for (std::int64_t head = 0; head < heads; ++head) {
      for (const position_run& run : positions.row(0, batch, positions.heads() == 1 ? 0 : head).runs()) {
        if (!run.state.is_padding()) {
          rows[static_cast<std::size_t>(head)].append({run.first, run.count, run.step, slot_state::unrotated()});
        }
      }
    }
  }
  return rows;
}

position_row last(const position_row& row, std::int64_t count) { return row.slice(row.size() - count, row.size()); }

void require_filled(const plan& input, const std::vector<attention_specification>& attention, std::int64_t batch) {
  std::vector<std::vector<position_row>> held;
  position_row longest;
  for (std::int64_t layer = 0; layer < static_cast<std::int64_t>(attention.size()); ++layer) {
    held.push_back(keys_of(input, layer, batch));
    for (const position_row& row : held.back()) {
      longest = row.size() > longest.size() ? row : longest;
    }
  }
  for (std::size_t layer = 0; layer < held.size(); ++layer) {
    const std::int64_t window = attention[layer].window.value_or(1);
    const std::int64_t shown = std::min(window - 1, longest.size());  // beside the query's own key
    for (const position_row& row : held[layer]) {
      if (row.size() > 0 && (row.size() < shown || !(last(row, shown) == last(longest, shown)))) {
        fail<frame_error>("plan", fmt::format("layer {}", layer),
                          fmt::format("the last {} keys that other layers hold, for its window of {}", shown, window),
                          fmt::format("{} keys, others or fewer", row.size()));
      }
    }
  }
}

}  // namespace

void require_windows_filled(const model_config& config, const plan& input) {
  const bool windowed = std::any_of(config.attention.begin(), config.attention.end(),
                                    [](const attention_specification& layer) { return layer.window.has_value(); });
  for (std::int64_t batch = 0; windowed && !input.layers.empty() && batch < input.batch(); ++batch) {
    require_filled(input, config.attention, batch);
  }
}

}  // namespace kvtransfer::detail
