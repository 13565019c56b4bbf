#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/decode/sequence_state.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/sampling.hpp"

namespace kvtransfer::detail {

/// A sequence of a batch whose first token has been chosen.
struct begun_sequence {
  std::int64_t sequence = 0;                    ///< which of the batch
  std::int64_t token = 0;                       ///< that it reads first
  std::int64_t most = 0;                        ///< choices after which it ends, the first one counted
  bool reads_eos = false;                       ///< whether it reads the end-of-text token that ends it
  bool is_last = false;                         ///< the first token is such a one
  const generation_config* settings = nullptr;  ///< with one seed
};

/// What the sequences of a batch read next, how far they are and how their tokens are chosen, on the model's device: a
/// step looks it up and writes it down there, and the host reads what was chosen once every few steps.
class decode_state {
 public:
  /// @param most_choices of any sequence @param turns steps that are remembered
  decode_state(std::int64_t sequences, std::int64_t most_choices, std::int64_t turns, at::Device device);

  /// Has sequences begin, whatever stood in their places.
  void begin(const std::vector<begun_sequence>& begun);

  /// int64 `[sequences]`: the token that each reads next.
  [[nodiscard]] at::Tensor tokens() const { return state_.select(1, kernels::sequence_column::token); }
  /// int64 `[sequences]`: the tail slots that each has filled.
  [[nodiscard]] at::Tensor lengths() const { return state_.select(1, kernels::sequence_column::length); }

  /// The end of a step: the next token of every sequence that read one is chosen, by a kernel where there is one.
  /// @param logits `[rows, vocab_size]` @param sequences int64 `[rows]`, whose they are, no sequence twice
  /// @throws value_error if a logit is NaN and the host chooses
  void choose(const at::Tensor& logits, const at::Tensor& sequences);

  /// What was chosen in the last `turns` steps, in their order, for all sequences; nothing where a sequence made no
  /// choice. Of a sequence that was not among a step's rows it says anything.
  /// @throws value_error if a logit was NaN
  [[nodiscard]] std::vector<std::vector<std::optional<token_choice>>> choices(std::int64_t turns) const;

  /// Changes when tensors are replaced: what was recorded of a step before does not hold afterwards.
  [[nodiscard]] std::int64_t version() const { return version_; }

  /// Says that a step was made by other means than `choose`: a graph of it was replayed.
  void count_turn() { ++turns_made_; }

 private:
  void make_room_for_eos(const std::vector<begun_sequence>& begun);
  void choose_on_host(const at::Tensor& logits, const at::Tensor& sequences);

  at::Tensor state_;   // int64 [sequences, columns], see sequence_state.hpp
  at::Tensor draws_;   // double [sequences, 1 + most_choices]: the temperature, then a draw for each choice
  at::Tensor record_;  // double [turns, sequences, 3], see sequence_state.hpp
  at::Tensor turn_;    // int64 [1]: steps made
  std::int64_t turns_made_ = 0;
  std::int64_t version_ = 0;
};

}  // namespace kvtransfer::detail
