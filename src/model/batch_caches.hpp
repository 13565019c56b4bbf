#pragma once

#include <cstdint>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "model/batch_sizes.hpp"
#include "model/checked_plan.hpp"
#include "model/slot_buffers.hpp"

namespace kvtransfer::detail {

/// The caches of a batch: what a plan injects and reads is kept once for all sequences that go on from it, and each has
/// a tail of its own. Buffers are allocated once.
class batch_caches {
 public:
  batch_caches(const causal_lm& model, const batch_sizes& sizes);

  /// Has a group begin with what a plan injects, with slots behind it for what the plan reads.
  void inject(std::int64_t group, const checked_plan& read);

  /// A copy of all that a sequence has been given and has read.
  /// @param read the token ids that it read behind its plan
  [[nodiscard]] cache left_by(std::int64_t sequence, const std::vector<std::int64_t>& read) const;

  /// Where the first token behind a group's plan stands.
  [[nodiscard]] std::int64_t next_position(std::int64_t group) const {
    return next_positions_[static_cast<std::size_t>(group)];
  }

  /// One layer's keys and values.
  [[nodiscard]] const layer_buffers& buffers(std::int64_t layer) const {
    return layers_[static_cast<std::size_t>(layer)];
  }

  /// Which prefix slots there are: of all layers, or of each.
  [[nodiscard]] const std::vector<prefix_slots>& slots() const { return slots_; }
  /// Which of `slots()` is a layer's.
  [[nodiscard]] std::size_t slots_index(std::int64_t layer) const {
    return sizes_.layers_alike ? 0 : static_cast<std::size_t>(layer);
  }
  /// One layer's prefix slots.
  [[nodiscard]] const prefix_slots& slots_of(std::int64_t layer) const { return slots_[slots_index(layer)]; }

  /// Slots of the longest prefix in any layer.
  [[nodiscard]] std::int64_t longest_prefix() const;

 private:
  const causal_lm* model_;
  cache_origin origin_;  // of what is written here
  batch_sizes sizes_;
  bool depends_on_length_;  // whether frequencies do
  std::vector<layer_buffers> layers_;
  std::vector<prefix_slots> slots_;
  std::vector<cache_frame> frames_;           // group: of its prefix
  std::vector<std::int64_t> next_positions_;  // group: behind its prefix
};

}  // namespace kvtransfer::detail
