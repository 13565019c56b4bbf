#include "kvtransfer/experiment/condition_point.hpp"
#include "kvtransfer/experiment/conditions.hpp"

namespace kvtransfer::conditions {

any_condition transfer() {
  return at_point({}, {.id = "transfer",
                       .title = "Transfer",
                       .injected = "the cache of the source, behind BOS where the model adds one; the target is fed, "
                                   "without a second BOS, at the positions that follow",
                       .tells = "the experiment: it must equal the text oracle",
                       .reference = "text_oracle",
                       .must_equal_reference = true});
}

}  // namespace kvtransfer::conditions
