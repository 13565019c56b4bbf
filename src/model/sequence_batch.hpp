#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "model/kept_rotations.hpp"

namespace kvtransfer::detail {

/// A plan of one sequence that a model can run, with what its reading needs to know.
struct checked_plan {
  plan input;
  cache_frame injected;       ///< of its segments, side by side
  std::int64_t slots = 0;     ///< injected ones and tokens in the layer that has the most
  bool layers_alike = true;   ///< whether all layers have the same slots
  bool heads_differ = false;  ///< whether a layer's heads see different slots
};

/// @throws what `session` throws of the plan; shape_error unless it has one sequence
[[nodiscard]] checked_plan checked(const causal_lm& model, plan input);

/// How large a `sequence_batch` is. Groups have a prefix in common each, members of a group have a tail of their own.
struct batch_sizes {
  std::int64_t groups = 0;
  std::int64_t members = 0;   ///< of each group
  std::int64_t prefix = 0;    ///< slots of the longest prefix
  std::int64_t tail = 0;      ///< slots of every sequence behind it
  bool layers_alike = true;   ///< as of all its plans
  bool heads_differ = false;  ///< as of any of its plans
};

/// Bytes that a batch of that size takes at most, those of a step included.
[[nodiscard]] std::int64_t bytes_of(const causal_lm& model, const batch_sizes& sizes);

/// Texts longer than this are read one by one, by a `session`, whose attention holds no scores of all their slots.
inline constexpr std::int64_t longest_read_together = 256;

/// Sequences that are decoded together. What a plan has the model read is kept once for all sequences that go on from
/// it; each has a tail of its own, of which every step fills one slot. Buffers are allocated once, keys and values in
/// a type that no sum suffers from; what they hold are the model's own numbers, in its own precision.
///
/// Layers are multiplied with the tokens of all sequences at once. Attention is three products for all groups: with
/// prefixes, with tails, and what is hidden, a padded slot or one behind a window, is masked.
class sequence_batch {
 public:
  sequence_batch(const causal_lm& model, const batch_sizes& sizes);

  /// Has each of `groups` begin with what a plan injects and reads. Their members are restarted.
  /// @param asked for each plan, behind how many of its last tokens scores are wanted; empty: behind the last of each
  /// @return scores of what follows, `[all that were asked for, vocab_size]`, plan by plan
  /// @throws value_error if more than one is asked for of a text too long to be read with others
  [[nodiscard]] at::Tensor read(const std::vector<std::int64_t>& groups, const std::vector<const checked_plan*>& plans,
                                const std::vector<std::int64_t>& asked = {});

  /// A token that a sequence reads behind what it has.
  struct next_token {
    std::int64_t group = 0;
    std::int64_t member = 0;
    std::int64_t token_id = 0;
  };

  /// @param next one entry per sequence that goes on @return scores of what follows, `[entries, vocab_size]`
  [[nodiscard]] at::Tensor step(const std::vector<next_token>& next);

  /// Has a sequence stand behind its group's prefix again.
  void restart(std::int64_t group, std::int64_t member) { tail_of(group, member).clear(); }

  /// Where the sequence's next token stands.
  [[nodiscard]] std::int64_t next_position(std::int64_t group, std::int64_t member) const {
    return next_positions_[static_cast<std::size_t>(group)] +
           static_cast<std::int64_t>(tails_[index_of(group, member)].size());
  }

  /// A copy of all that a sequence has been given and has read.
  [[nodiscard]] cache left_by(std::int64_t group, std::int64_t member) const;

 private:
  /// Keys and values of one layer.
  struct layer_buffers {
    at::Tensor prefix_keys;    // [groups, kv_heads, prefix, head_dim]
    at::Tensor prefix_values;  // as the keys
    at::Tensor tail_keys;      // [groups, kv_heads, members, tail, head_dim]
    at::Tensor tail_values;    // as the keys
  };

  /// Which prefix slots there are. One for all layers, or one a layer.
  struct prefix_slots {
    at::Tensor ordinals;  // int64 [groups, heads, prefix]: a key's number from 1 on; `nobodys` where hidden
    at::Tensor counts;    // int64 [groups, heads]: keys
    at::Tensor hidden;    // bool [groups, heads, 1, 1, prefix]
    std::vector<std::int64_t> lengths;  // group: slots in use
  };

  /// Everything about the tokens that are being read.
  struct reading;
  /// Everything about the step that is being made.
  struct stepping;

  [[nodiscard]] std::size_t index_of(std::int64_t group, std::int64_t member) const {
    return static_cast<std::size_t>(group * sizes_.members + member);
  }
  [[nodiscard]] std::vector<std::int64_t>& tail_of(std::int64_t group, std::int64_t member) {
    return tails_[index_of(group, member)];
  }
  [[nodiscard]] prefix_slots& slots_of(std::int64_t layer) {
    return slots_[sizes_.layers_alike ? 0 : static_cast<std::size_t>(layer)];
  }
  [[nodiscard]] const prefix_slots& slots_of(std::int64_t layer) const {
    return slots_[sizes_.layers_alike ? 0 : static_cast<std::size_t>(layer)];
  }

  void inject(std::int64_t group, const checked_plan& read);
  [[nodiscard]] at::Tensor read_at_once(const std::vector<std::int64_t>& groups,
                                        const std::vector<const checked_plan*>& plans,
                                        const std::vector<std::int64_t>& asked);
  [[nodiscard]] at::Tensor read_alone(std::int64_t group, const checked_plan& read);
  [[nodiscard]] at::Tensor attend_reading(const reading& now, std::int64_t layer, const at::Tensor& q,
                                          const at::Tensor& k, const at::Tensor& v);
  [[nodiscard]] at::Tensor attend_stepping(stepping& now, std::int64_t layer, const at::Tensor& q, const at::Tensor& k,
                                           const at::Tensor& v);
  [[nodiscard]] const at::Tensor& hidden_in_step(stepping& now, std::int64_t layer) const;
  [[nodiscard]] at::Tensor index(const std::vector<std::int64_t>& list) const;

  const causal_lm* model_;
  cache_origin origin_;  // of what is written here
  batch_sizes sizes_;
  at::ScalarType wide_;
  kept_rotations rotations_;
  std::vector<layer_buffers> layers_;
  std::vector<prefix_slots> slots_;
  std::vector<cache_frame> frames_;               // group: of its prefix
  std::vector<std::int64_t> next_positions_;      // group: behind its prefix
  std::vector<std::vector<std::int64_t>> tails_;  // sequence: token ids
};

}  // namespace kvtransfer::detail
