#pragma once

#include <cstdint>

namespace kvtransfer::kernels {

/// What a decode step knows of each sequence: a row of int64, the end-of-text tokens behind the last column (-1 where
/// there are fewer than others have).
namespace sequence_column {
inline constexpr std::int64_t token = 0;      ///< read next
inline constexpr std::int64_t length = 1;     ///< tail slots filled
inline constexpr std::int64_t phase = 2;      ///< see `sequence_phase`
inline constexpr std::int64_t choices = 3;    ///< tokens chosen so far
inline constexpr std::int64_t most = 4;       ///< choices after which it ends
inline constexpr std::int64_t reads_eos = 5;  ///< 1: an end-of-text token is read before it ends
inline constexpr std::int64_t eos = 6;        ///< from here on
}  // namespace sequence_column

namespace sequence_phase {
inline constexpr std::int64_t idle = 0;   ///< has ended or not begun
inline constexpr std::int64_t going = 1;  ///< reads a token and has the next one chosen
inline constexpr std::int64_t last = 2;   ///< reads its last token
}  // namespace sequence_phase

/// What is told of each sequence after each step, in doubles.
namespace record_column {
inline constexpr std::int64_t token = 0;     ///< chosen; -1 where nothing was
inline constexpr std::int64_t margin = 1;    ///< of the best score over the second, NaN where a score is NaN
inline constexpr std::int64_t distance = 2;  ///< of the draw to the next token's interval; -1 where nothing was drawn
inline constexpr std::int64_t count = 3;
}  // namespace record_column

/// A sequence after its token was read and `chosen` chosen. @return what was chosen, -1 where it made no choice
#if defined(__CUDACC__)
__host__ __device__
#endif
    inline std::int64_t advance(std::int64_t* state, std::int64_t eos_count, std::int64_t chosen) {
  std::int64_t& phase = state[sequence_column::phase];
  if (phase == sequence_phase::idle) {
    return -1;
  }
  ++state[sequence_column::length];
  if (phase == sequence_phase::last) {
    phase = sequence_phase::idle;
    return -1;
  }
  ++state[sequence_column::choices];
  bool is_eos = false;
  for (std::int64_t i = 0; i < eos_count; ++i) {
    is_eos = is_eos || state[sequence_column::eos + i] == chosen;
  }
  state[sequence_column::token] = chosen;
  if (is_eos) {
    phase = state[sequence_column::reads_eos] != 0 ? sequence_phase::last : sequence_phase::idle;
  } else if (state[sequence_column::choices] == state[sequence_column::most]) {
    phase = sequence_phase::idle;
  }
  return chosen;
}

}  // namespace kvtransfer::kernels
