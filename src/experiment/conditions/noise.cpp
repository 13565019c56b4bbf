#include "kvtransfer/experiment/condition_point.hpp"
#include "kvtransfer/experiment/conditions.hpp"

namespace kvtransfer::conditions {

any_condition noise() {
  return at_point({.control = cache_control::noise},
                  {.id = "noise",
                   .title = "Random noise",
                   .injected = "random keys and values of the source cache's shape, with its mean and deviation per "
                               "layer and head; the target is fed at the positions that follow",
                   .tells = "what a cache without content does",
                   .reference = "baseline",
                   .random = true});
}

any_condition noise_sink_kept() {
  return at_point({.control = cache_control::noise_sink_kept},
                  {.id = "noise_sink_kept",
                   .title = "Noise behind the first slot",
                   .injected = "the source's first slot as it is, noise like the rest of its cache behind it",
                   .tells = "what noise does where heads that look at nothing find their slot",
                   .reference = "baseline",
                   .random = true});
}

}  // namespace kvtransfer::conditions
