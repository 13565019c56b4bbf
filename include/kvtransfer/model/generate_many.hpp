#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"

namespace kvtransfer {

/// A text to be continued, independent of all others.
struct generation_request {
  plan input;                  ///< of one sequence
  generation_config settings;  ///< with one seed
  bool keeps_cache = false;    ///< whether the cache that it leaves is wanted
  bool reads_eos = false;      ///< whether an end-of-text token that ends it is read too, as the cache's last
};

/// What became of a request.
struct generation_result {
  completion said;            ///< the continuation
  std::optional<cache> left;  ///< what `session` would hold; nothing unless `keeps_cache` asked for it
};

/// How many sequences are decoded together, and who hears of it.
struct batching {
  std::int64_t most_sequences = 256;  ///< fewer where memory does not hold so many
  std::int64_t most_bytes = 0;        ///< for a batch; 0: `share` of what is free on the model's device as it is made
  double share = 0.5;                 ///< less where several processes share the device's memory
  /// On a GPU, whether a step of a given size is told to the driver once, as a CUDA graph, and replayed from then on.
  /// What is said is the same either way. Nothing: what the environment variable KVTRANSFER_CUDA_GRAPHS says, on or
  /// off; on where it says nothing.
  std::optional<bool> replays_steps = {};
  /// Called every few steps with the number of tokens chosen since; what it throws ends the call.
  std::function<void(std::int64_t tokens)> after_steps = {};
};

/// Gives the next request; nothing when there are no more. Called as there is room for one.
using request_source = std::function<std::optional<generation_request>()>;

/// Takes a result as soon as it is there. @param index the request's, counted from 0 as they came
using result_sink = std::function<void(std::size_t index, generation_result result)>;

/// Continues many texts in batches. Requests with equal plans share one reading of it, and those that draw nothing and
/// have equal settings are run once. A sequence that has ended makes room for one that waits.
///
/// What a request gives does not depend on the others, but for the rounding of sums in another order: in fp32 its
/// tokens are those of `generate`, except behind a choice that is that close (see `completion::close_calls`).
/// @param source its requests may share caches; a cache that several plans inject should be one
/// @param finished what it throws ends the call
/// @throws what `generate` throws of a request; out_of_memory_error if memory doesn't hold a single one
void generate_many(const causal_lm& model, const request_source& source, const result_sink& finished,
                   const batching& how = {});

/// The same for requests at hand. @return one result a request, in their order
[[nodiscard]] std::vector<generation_result> generate_many(const causal_lm& model,
                                                           std::vector<generation_request> requests,
                                                           const batching& how = {});

}  // namespace kvtransfer
