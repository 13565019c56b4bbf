#include "model/plan_frame.hpp"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>

#include "kvtransfer/core/alike.hpp"

namespace kvtransfer::detail {

namespace {

using token_rows = cache_frame::token_rows;

/// `row` with padding in the slots where `visible` is false.
position_row without_hidden(const position_row& row, const bool* visible) {
  position_row shown;
  for (const position_run& slot : row.one_run_per_slot()) {
    shown.append(*visible++ ? slot : position_run{0, 1, 0, slot_state::padding()});
  }
  return shown;
}

/// @param visible bool `[batch, kv_heads or 1, seq]` on the host, contiguous
position_map without_hidden(const position_map& positions, const at::Tensor& visible) {
  const std::int64_t heads = visible.size(1);
  const position_map by_head = heads == 1 ? positions : positions.with_heads(heads);
  std::vector<position_row> rows;
  for (std::int64_t stream = 0; stream < by_head.streams(); ++stream) {
    const bool* first = visible.const_data_ptr<bool>();
    for (std::int64_t b = 0; b < by_head.batch(); ++b) {
      for (std::int64_t head = 0; head < by_head.heads(); ++head) {
        rows.push_back(without_hidden(by_head.row(stream, b, head), first));
        first += heads == 1 && head + 1 < by_head.heads() ? 0 : visible.size(2);
      }
    }
  }
  return position_map(by_head.streams(), by_head.batch(), by_head.heads(), std::move(rows));
}

/// The segment's frame, with padding where the plan hides a slot; a slot that no head shows has no token either.
cache_frame with_hidden_slots(const segment& part) {
  const at::Tensor visible = part.visible.cpu().contiguous();
  if (visible.all().item<bool>()) {
    return part.origin();
  }
  cache_frame frame = part.origin().transform([&](layer_frame layer) {
    layer.positions = without_hidden(layer.positions, visible);
    return layer;
  });
  token_rows ids = frame.token_ids();
  const at::Tensor by_any_head = visible.any(1);
  for (std::size_t b = 0; b < ids.size(); ++b) {
    const bool* shown = by_any_head[static_cast<std::int64_t>(b)].const_data_ptr<bool>();
    for (std::int64_t& id : ids[b]) {
      id = *shown++ ? id : -1;
    }
  }
  frame.set_token_ids(std::move(ids));
  return frame;
}

/// Names in `known` what `more` names and it does not. False where the two contradict each other.
bool complete(token_rows& known, const token_rows& more) {
  bool agree = known.size() == more.size();
  for (std::size_t b = 0; agree && b < known.size(); ++b) {
    agree = known[b].size() == more[b].size();
    for (std::size_t i = 0; agree && i < known[b].size(); ++i) {
      agree = known[b][i] == more[b][i] || known[b][i] < 0 || more[b][i] < 0;
      known[b][i] = std::max(known[b][i], more[b][i]);
    }
  }
  return agree;
}

/// One frame of as many layers, each of them a frame of one.
cache_frame stacked(const std::vector<cache_frame>& layers) {
  std::vector<cache_frame::shared_layer> stack;
  std::vector<cache_origin> writers;
  token_rows ids = layers.front().token_ids();  // what any layer tells of a slot
  std::vector<layer_tokens::shared_rows> by_layer;
  bool agree = true;
  bool assumed = false;
  for (const cache_frame& one : layers) {
    stack.push_back(one.shared(0));
    assumed = assumed || one.assumed();
    agree = agree && complete(ids, one.token_ids());
    by_layer.push_back(one.tokens().shared(0));
    if (!one.is_empty()) {
      writers.push_back(one.origin());
    }
  }
  cache_frame frame(std::move(stack));
  cache_origin writer = writers.empty() ? cache_origin{} : writers.front();
  for (const cache_origin& other : writers) {
    writer = writer.joined_with(other);
  }
  frame.set_origin(std::move(writer));
  frame.set_tokens(agree ? layer_tokens(layers.size(), std::move(ids)) : layer_tokens(std::move(by_layer)));
  if (assumed) {
    frame.set_assumed();
  }
  return frame;
}

}  // namespace

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
  const auto injected_alike = [&](std::size_t a, std::size_t b) {
    return std::ranges::equal(
        input.segments(static_cast<std::int64_t>(a)), input.segments(static_cast<std::int64_t>(b)),
        [](const segment& x, const segment& y) { return x.origin() == y.origin() && x.visible.is_same(y.visible); });
  };
  cache_frame frame =
      stacked(make_for_alike(static_cast<std::size_t>(config.layers), injected_alike, [&](std::size_t layer) {
        const std::vector<position_row> no_slots(static_cast<std::size_t>(input.batch()));
        cache_frame joined(1, layer_frame{position_map(1, input.batch(), 1, no_slots), {}});
        joined.set_token_ids(token_rows(no_slots.size()));
        for (const segment& part : input.segments(static_cast<std::int64_t>(layer))) {
          joined.append(part.visible.defined() ? with_hidden_slots(part) : part.origin());
        }
        return joined;
      }));
  frame.set_edits(input.edits());
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
