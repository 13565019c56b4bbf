#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace kvtransfer {

/// A uniform number in [0, 1) that depends on `(seed, step)` alone: not on the batch, the device, or what was drawn
/// before.
[[nodiscard]] double uniform_draw(std::uint64_t seed, std::uint64_t step);

/// A token that was drawn.
struct drawn_token {
  std::int64_t token_id = 0;     ///< an index into the logits
  double boundary_distance = 0;  ///< probability between the draw and the nearer end of the token's interval
};

/// The token where the cumulative probabilities of `logits / temperature` pass `uniform`, summed in double in
/// vocabulary order.
/// @param logits float `[vocab_size]` on the host
[[nodiscard]] drawn_token sample_inverse_cdf(const at::Tensor& logits, double temperature, double uniform);

/// The next token and by how much the best score beats the second best.
struct token_choice {
  std::int64_t token_id = 0;  ///< an index into the logits
  float top2_margin = 0;      ///< logit units, whatever the temperature
  /// Probability between the draw and the next token's interval; nothing was drawn where it is negative.
  double boundary_distance = -1;
};

/// Chooses the next token of one sequence: the best at temperature 0, else a draw keyed on `(seed, step)`.
/// @param logits float `[vocab_size]` on the host
/// @throws value_error if a logit is NaN
[[nodiscard]] token_choice choose_token(const at::Tensor& logits, double temperature, std::uint64_t seed,
                                        std::uint64_t step);

/// Below this, the same sums in another order may choose another token: logits apart where the best is taken,
/// probability where one is drawn.
inline constexpr double close_call = 1e-4;

/// Whether rounding may have decided a choice.
[[nodiscard]] inline bool is_close(const token_choice& choice) {
  return (choice.boundary_distance < 0 ? choice.top2_margin : choice.boundary_distance) < close_call;
}

}  // namespace kvtransfer
