#pragma once

#include <cstdint>

#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer::detail {

/// How large a `sequence_batch` is. Groups have a prefix in common each, members of a group have a tail of their own.
struct batch_sizes {
  std::int64_t groups = 0;
  std::int64_t members = 0;   ///< of each group
  std::int64_t prefix = 0;    ///< slots of the longest prefix
  std::int64_t tail = 0;      ///< slots of every sequence behind it
  bool layers_alike = true;   ///< as of all its plans
  bool heads_differ = false;  ///< as of any of its plans

  /// Members of all groups.
  [[nodiscard]] std::int64_t sequences() const { return groups * members; }
};

/// Bytes that a batch of that size takes at most, those of a step included.
[[nodiscard]] std::int64_t bytes_of(const causal_lm& model, const batch_sizes& sizes);

/// That share of the memory that is free where the model lies, in bytes.
[[nodiscard]] std::int64_t share_of_free_memory(const causal_lm& model, double share);

/// Bytes that a batch may take before it is made smaller, of `free` that there are. A CPU is as fast with some dozens
/// of sequences as with hundreds, so that there a batch takes little beside the weights.
[[nodiscard]] std::int64_t enough_for_batch(const causal_lm& model, std::int64_t free);

/// Bytes of the keys and values that a plan injects; other plans may hold the same ones.
[[nodiscard]] std::int64_t bytes_injected(const plan& input);

}  // namespace kvtransfer::detail
