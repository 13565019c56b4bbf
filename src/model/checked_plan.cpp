#include "model/checked_plan.hpp"

#include <algorithm>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "model/plan_checks.hpp"
#include "model/plan_frame.hpp"

namespace kvtransfer::detail {

checked_plan checked(const causal_lm& model, plan input) {
  require_runnable(model, input);
  require_count<shape_error>(input.batch(), 1, "generate_many", "plan", "{} sequence");
  checked_plan made{std::move(input), {}, 0};
  made.injected = injected_frame(model.config, made.input);
  const position_map& first = made.injected.layer(0).positions;
  for (std::int64_t layer = 0; layer < made.injected.layers(); ++layer) {
    const position_map& positions = made.injected.layer(layer).positions;
    made.layers_alike =
        made.layers_alike && (made.injected.shared(layer) == made.injected.shared(0) || positions == first);
    made.heads_differ = made.heads_differ || positions.heads() > 1;
    made.slots = std::max(made.slots, positions.size() + made.input.size());
  }
  return made;
}

}  // namespace kvtransfer::detail
