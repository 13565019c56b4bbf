#include "model/widened.hpp"

#include <string>

#include "kvtransfer/model/weights.hpp"
#include "model/model_snapshot.hpp"

namespace kvtransfer::detail {

causal_lm widened(const causal_lm& model) {
  const at::ScalarType wide = model.dtype() == at::kFloat ? at::kDouble : at::kFloat;
  causal_lm copy = model;
  for (layer_weights& layer : copy.weights.layers) {
    for (auto matrix : {&layer_weights::q_proj, &layer_weights::k_proj, &layer_weights::v_proj, &layer_weights::o_proj,
                        &layer_weights::gate_proj, &layer_weights::up_proj, &layer_weights::down_proj,
                        &layer_weights::qkv_proj, &layer_weights::gate_up_proj}) {
      if ((layer.*matrix).nf4()) {
        layer.*matrix = (layer.*matrix).values();
      }
    }
  }
  const bool tied = copy.weights.lm_head.is_same(copy.weights.embed_tokens);
  for_each_parameter(copy.weights, [&](const std::string&, at::Tensor& tensor) { tensor = tensor.to(wide); });
  if (tied) {
    copy.weights.lm_head = copy.weights.embed_tokens;
  }
  if (model.changed().empty()) {
    take_snapshot(copy);  // the same weights, in another type
  }
  return copy;
}

}  // namespace kvtransfer::detail
