#pragma once

#include <cstdint>

#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate_many.hpp"

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

/// Bytes that keys and values of so many slots take in all layers.
[[nodiscard]] std::int64_t bytes_of_slots(const model_config& config, std::int64_t slots, at::ScalarType dtype);

/// Bytes that a batch of that size takes at most, those of a step included.
[[nodiscard]] std::int64_t bytes_of(const causal_lm& model, const batch_sizes& sizes);

/// What a batch may take of the memory where its model lies.
struct batch_memory {
  std::int64_t most = 0;    ///< bytes beyond which there is none
  std::int64_t enough = 0;  ///< bytes beyond which it is made smaller
  std::int64_t held = 0;    ///< bytes that waiting requests inject, beyond which no further ones are asked for
  std::int64_t kept = 0;    ///< bytes of caches that are kept since further requests may want them
  std::int64_t scored = 0;  ///< bytes beyond which a scoring pass, made beside a batch, is made smaller
};

/// A CPU is nearly as fast with a dozen sequences as with hundreds, so that there a batch, and what is held for it,
/// take little beside the weights; a GPU's takes what is free.
[[nodiscard]] batch_memory memory_for_batch(const causal_lm& model, const batching& how);

/// Sizes that memory holds: with fewer groups, then with fewer members, at last with a shorter prefix.
/// @param shortest prefix, in slots
/// @throws out_of_memory_error where it does not hold one sequence
[[nodiscard]] batch_sizes held_by(const batch_memory& memory, const causal_lm& model, batch_sizes sizes,
                                  std::int64_t shortest);

}  // namespace kvtransfer::detail
