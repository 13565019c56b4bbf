#include "model/plan_frame.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>

#include "kvtransfer/core/alike.hpp"

namespace kvtransfer::detail {

std::vector<std::vector<std::int64_t>> padded_ids(std::vector<std::vector<std::int64_t>> rows) {
  std::size_t longest = 0;
  for (const std::vector<std::int64_t>& row : rows) {
    longest = std::max(longest, row.size());
  }
  for (std::vector<std::int64_t>& row : rows) {
    row.insert(row.begin(), longest - row.size(), -1);
  }
  return rows;
}

cache_frame injected_frame(const model_config& config, const plan& input) {
  const std::vector<position_row> no_slots(static_cast<std::size_t>(input.batch()));
  const auto injected_alike = [&](std::size_t a, std::size_t b) {
    return std::ranges::equal(
        input.segments(static_cast<std::int64_t>(a)), input.segments(static_cast<std::int64_t>(b)),
        [](const segment& x, const segment& y) { return x.kv.shared_frame() == y.kv.shared_frame(); });
  };
  cache_frame frame(make_for_alike(
      static_cast<std::size_t>(config.layers), injected_alike, [&](std::size_t i) -> cache_frame::shared_layer {
        auto joined = std::make_shared<layer_frame>(layer_frame{position_map(1, input.batch(), 1, no_slots), {}});
        for (const segment& part : input.segments(static_cast<std::int64_t>(i))) {
          joined->append(part.kv.frame());
        }
        return joined;
      }));
  const bool nothing = input.layers.empty();
  if (nothing || static_cast<std::int64_t>(input.origin.token_ids.size()) == input.batch()) {
    frame.set_token_ids(nothing ? std::vector<std::vector<std::int64_t>>(no_slots.size()) : input.origin.token_ids);
  }
  frame.set_edits(input.origin.edits);
  frame.set_origin(input.origin.written_by);
  if (input.origin.assumed) {
    frame.set_assumed();
  }
  return frame;
}

cache_frame written_frame(const std::vector<rotary_specification>& rotary, const position_map& positions,
                          const std::vector<std::vector<std::int64_t>>& token_ids, const cache_origin& model) {
  cache_frame frame(make_for_alike(
      rotary.size(), [&](std::size_t a, std::size_t b) { return rotary[a] == rotary[b]; },
      [&](std::size_t i) -> cache_frame::shared_layer {
        return std::make_shared<layer_frame>(layer_frame{positions, {rotary[i]}});
      }));
  frame.set_token_ids(token_ids);
  frame.set_origin(model);
  return frame;
}

}  // namespace kvtransfer::detail
