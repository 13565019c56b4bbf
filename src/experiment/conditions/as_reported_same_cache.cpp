#include "kvtransfer/experiment/condition_point.hpp"
#include "kvtransfer/experiment/conditions.hpp"

namespace kvtransfer::conditions {

any_condition as_reported_same_cache() {
  return at_point(
      {.prompt = cached_prompt::target, .taken = cache_moment::generated},
      {.id = "as_reported_same_cache",
       .title = "As reported: same-cache",
       .injected = "the cache that generating from what the baseline reads leaves (its EOS not fed); the target is fed "
                   "again, without BOS, at the positions that follow",
       .tells = "a harness that gives the report's column",
       .reference = "baseline",
       .reconstructs = "same_cache",
       .mistake = "The cache is taken after generation, so it holds the question and an answer to it, and then the "
                  "target is read a second time: the model continues a text in which its prompt occurs twice."});
}

}  // namespace kvtransfer::conditions
