#include "model/plan_frame.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <utility>

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
  std::map<std::vector<const layer_frame*>, cache_frame::shared_layer> known;
  std::vector<cache_frame::shared_layer> layers;
  const std::vector<position_row> no_slots(static_cast<std::size_t>(input.batch()));
  for (std::int64_t i = 0; i < config.layers; ++i) {
    std::vector<const layer_frame*> key;
    layer_frame joined{position_map(1, input.batch(), 1, no_slots), {}};
    for (const segment& part : input.segments(i)) {
      key.push_back(part.kv.shared_frame().get());
      joined = joined.followed_by(part.kv.frame());
    }
    cache_frame::shared_layer& entry = known[key];
    if (entry == nullptr) {
      entry = std::make_shared<const layer_frame>(std::move(joined));
    }
    layers.push_back(entry);
  }
  cache_frame frame(std::move(layers));
  const bool nothing = input.layers.empty();
  if (nothing || static_cast<std::int64_t>(input.origin.token_ids.size()) == input.batch()) {
    frame.set_token_ids(nothing ? std::vector<std::vector<std::int64_t>>(no_slots.size()) : input.origin.token_ids);
  }
  frame.set_model(input.origin.model);
  if (input.origin.assumed) {
    frame.set_assumed();
  }
  return frame;
}

cache_frame written_frame(const std::vector<rotary_specification>& rotary, const position_map& positions,
                          const std::vector<std::vector<std::int64_t>>& token_ids, const std::string& model) {
  std::vector<cache_frame::shared_layer> layers;
  for (std::size_t i = 0; i < rotary.size(); ++i) {
    const auto same = std::find(rotary.begin(), rotary.begin() + static_cast<std::ptrdiff_t>(i), rotary[i]);
    const auto index = static_cast<std::size_t>(same - rotary.begin());
    layers.push_back(index < i ? layers[index]
                               : std::make_shared<const layer_frame>(layer_frame{positions, {rotary[i]}}));
  }
  cache_frame frame(std::move(layers));
  frame.set_token_ids(token_ids);
  frame.set_model(model);
  return frame;
}

}  // namespace kvtransfer::detail
