#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/sampling.hpp"
#include "model/batch_caches.hpp"
#include "model/batch_sizes.hpp"
#include "model/checked_plan.hpp"
#include "model/decode_state.hpp"
#include "model/kept_rotations.hpp"
#include "model/slot_buffers.hpp"
#include "model/step_graphs.hpp"

namespace kvtransfer::detail {

/// Sequences that are decoded together. Layers are multiplied with the tokens of all of them at once, each attends to
/// its own cache. All that changes from step to step is on the model's device, so that one step follows the other
/// without the host.
class sequence_batch {
 public:
  /// @param replays whether a GPU is told a step once and replays it; see `step_graphs`
  sequence_batch(const causal_lm& model, const batch_sizes& sizes, bool replays = false);

  /// Has each of `groups` begin with what a plan injects and reads. None of their members goes on.
  /// @return scores of what follows the last token of each, `[plans, vocab_size]`
  [[nodiscard]] at::Tensor read(const std::vector<std::int64_t>& groups, const std::vector<const checked_plan*>& plans);

  /// The same, for scores behind several tokens: see `prefix_reader::read_states`. No sequence can begin behind it.
  [[nodiscard]] at::Tensor read_states(const std::vector<std::int64_t>& groups,
                                       const std::vector<const checked_plan*>& plans,
                                       const std::vector<std::int64_t>& asked);

  /// Has sequences go on behind their group's prefix. Sequence `group · members + member` is a group's member.
  void begin(const std::vector<begun_sequence>& begun);

  /// Steps that may follow one another before the host looks at what was chosen.
  [[nodiscard]] std::int64_t most_turns() const { return turns_; }

  /// Makes steps of sequences that have begun. One that ends on the way stands still from there on.
  /// @param going in ascending order
  /// @return for each step what each sequence of the batch chose; nothing where it made no choice
  [[nodiscard]] std::vector<std::vector<std::optional<token_choice>>> run(const std::vector<std::int64_t>& going,
                                                                          std::int64_t turns);

  /// Where the first token behind a group's plan stands.
  [[nodiscard]] std::int64_t next_position(std::int64_t group) const { return caches_.next_position(group); }

  /// A copy of all that a sequence has been given and has read.
  /// @param read the token ids that it read behind its plan
  [[nodiscard]] cache left_by(std::int64_t sequence, const std::vector<std::int64_t>& read) const {
    return caches_.left_by(sequence, read);
  }

 private:
  /// The rows of steps of one size, in tensors that stay where they are.
  struct row_set {
    std::vector<std::int64_t> listed;
    at::Tensor sequences;    // int64 [rows]
    at::Tensor first_place;  // int64 [rows]: of its group's in `places_`
  };

  /// Rows of all that go on, on a GPU filled up with others so that few sizes occur.
  [[nodiscard]] const row_set& rows_of(const std::vector<std::int64_t>& going);
  [[nodiscard]] std::int64_t longest_tail(const std::vector<std::int64_t>& going, std::int64_t turns) const;
  void make_step(const row_set& rows, std::int64_t tail);

  const causal_lm* model_;
  batch_sizes sizes_;
  std::int64_t turns_;
  batch_caches caches_;
  kept_rotations rotations_;
  decode_state state_;
  at::Tensor places_;  // int64 [groups, tail]: where a tail's slot stands in the tables of `rotations_`
  std::map<std::int64_t, row_set> row_sets_;
  std::vector<std::int64_t> turns_since_;           // sequence: steps since it began
  std::pair<std::int64_t, std::int64_t> versions_;  // of state and rotations, as the graphs know them
  step_graphs graphs_;
};

}  // namespace kvtransfer::detail
