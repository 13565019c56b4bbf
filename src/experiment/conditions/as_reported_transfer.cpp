#include "kvtransfer/experiment/condition_point.hpp"
#include "kvtransfer/experiment/conditions.hpp"

namespace kvtransfer::conditions {

/// Where generation ends by length there is no EOS to feed.
any_condition as_reported_transfer() {
  return at_point(
      {.taken = cache_moment::generated_eos, .second_bos = true},
      {.id = "as_reported_transfer",
       .title = "As reported: transfer",
       .injected = "the cache that generating from BOS and the source leaves, its EOS fed too; the target is fed with "
                   "its own BOS at the positions that follow",
       .tells = "a harness that gives the report's column",
       .reference = "text_oracle",
       .reconstructs = "transfer",
       .mistake = "The cache is taken after generation and ends with EOS, and the target begins with a second BOS: a "
                  "model trained on packed texts reads both as “another text begins here” and leaves the source out "
                  "of account."});
}

}  // namespace kvtransfer::conditions
