#include "kvtransfer/model/plan_logits.hpp"

#include "model/plan_pass.hpp"
#include "model/transformer.hpp"

namespace kvtransfer {

at::Tensor plan_logits(const causal_lm& model, const plan& input) {
  return detail::vocabulary_logits(model.config, model.weights, detail::plan_states(model, input));
}

}  // namespace kvtransfer
