#include "kvtransfer/model/attention_mass.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "model/attention.hpp"
#include "model/plan_pass.hpp"

namespace kvtransfer {

namespace {

std::int64_t most_injected(const causal_lm& model, const plan& input) {
  std::int64_t most = 0;
  for (std::int64_t layer = 0; layer < model.config.layers; ++layer) {
    most = std::max(most, input.injected(layer));
  }
  return most;
}

/// What a range of all layers' slots is in a layer that has `injected` of them in front of `tokens`: the injected ones,
/// then the tokens, in the layer's own slots.
std::vector<slot_range> in_layer(const slot_range& slots, std::int64_t injected, std::int64_t most,
                                 std::int64_t tokens) {
  const slot_range front = slots.overlap({0, injected});
  slot_range back = slots.overlap({most, tokens});
  back.begin += injected - most;
  return {front, back};
}

}  // namespace

at::Tensor attention_mass(const causal_lm& model, const plan& input, const slot_range& slots, attention_queries of) {
  require<shape_error>(input.batch() == 1, "attention_mass", "input", "a plan of one sequence",
                       fmt::format("{}", input.batch()));
  const std::int64_t most = input.layers.empty() ? 0 : most_injected(model, input);
  const std::int64_t all = most + input.size();
  if (slots.begin < 0 || slots.count < 0 || slots.begin > all || slots.count > all - slots.begin) {
    fail<shape_error>("attention_mass", "slots", fmt::format("a range within [0, {})", all),
                      fmt::format("{} from {}", slots.count, slots.begin));
  }
  std::vector<at::Tensor> masses;
  const auto add = [&](const detail::layer_attention& at_work) {
    const at::Tensor keys = at_work.prefix.size() == 0 ? at_work.keys : at::cat({at_work.prefix.keys, at_work.keys}, 2);
    const at::Tensor weights = detail::attention_weights(at_work.how, at_work.q, keys, at_work.seen)[0];
    const std::int64_t tokens = weights.size(1);
    const at::Tensor chosen = of == attention_queries::last_token ? weights.slice(1, tokens - 1) : weights;
    at::Tensor mass = chosen.slice(2, 0, 0).sum(2);
    for (const slot_range& part : in_layer(slots, input.injected(at_work.layer), most, tokens)) {
      mass = mass + chosen.slice(2, part.begin, part.begin + part.count).sum(2);
    }
    masses.push_back(mass.mean(1));
  };
  static_cast<void>(detail::plan_states(model, input, add));
  return at::stack(masses);
}

}  // namespace kvtransfer
