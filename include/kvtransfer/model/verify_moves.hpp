#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer {

/// Whether moved keys are those that a model would have written there.
enum class move_verdict : std::uint8_t {
  holds,          ///< as exactly as the model's own type allows
  does_not_hold,  ///< they are further off
  refused         ///< it cannot be tried
};

/// `holds`, `does not hold` or `refused`, as verdicts are written.
constexpr std::string_view to_string(move_verdict verdict) {
  constexpr std::string_view names[] = {"holds", "does not hold", "refused"};
  return names[static_cast<std::size_t>(verdict)];
}

/// What is tried.
struct verify_moves_settings {
  std::vector<std::int64_t> lengths = {16, 256};  ///< tokens of the texts whose keys are moved, each 2 or more
  std::int64_t delta = 500;                       ///< tokens to move by, 1 or more
  std::int64_t tokens = 24;                       ///< to say behind moved keys
  std::vector<std::int64_t> token_ids = {};       ///< at least as many as the longest length; none: drawn at random
  /// What keys are taken to be rotated by, one per layer; none: what the model itself says. Another model's make a
  /// verdict on whether that model's moves are right for this one's keys.
  std::vector<rotary_specification> specifications = {};
};

/// One operation at one length. Errors are norm(moved - prefilled) / norm(prefilled) of a layer's keys, one per layer
/// compared.
struct move_check {
  std::string name = {};               ///< `shift`, `remap`, `un-rotate, rotate`, `cut, close the gap` or `save, load`
  std::int64_t length = 0;             ///< tokens
  std::vector<double> errors = {};     ///< of the moved keys
  std::vector<double> floors = {};     ///< what the model's own type costs there: its keys against a wider type's
  std::vector<double> tolerance = {};  ///< what errors may be: 4 times the floor, and what float32 angles lose there
  bool holds = false;                  ///< no error is larger

  /// The layer that comes closest to its tolerance, or passes it by most.
  [[nodiscard]] std::size_t worst_layer() const {
    const auto share = [&](std::size_t layer) { return errors[layer] / std::max(tolerance[layer], 1e-30); };
    std::size_t worst = 0;
    for (std::size_t layer = 1; layer < errors.size(); ++layer) {
      worst = std::isnan(share(layer)) || share(layer) > share(worst) ? layer : worst;
    }
    return worst;
  }
};

/// What is said greedily behind moved keys, against what is said behind a prefill there; both read the latter.
struct greedy_check {
  std::int64_t length = 0;                   ///< tokens in front
  std::int64_t tokens = 0;                   ///< said
  std::vector<std::int64_t> token_ids = {};  ///< those said
  std::optional<std::string> text = {};      ///< the same as text, for whoever has a tokenizer to fill in
  std::vector<std::int64_t> differing = {};  ///< steps at which moved keys would say another token
  std::vector<std::int64_t> undecided =
      {};              ///< those of them at which the two best tokens were closer than the type tells
  double error = 0;    ///< of logits, as a share of their spread
  double floor = 0;    ///< what the model's own type costs there
  bool holds = false;  ///< the error is within 4 floors, and every token that differs is undecided
};

/// The verdict on a model, with what it rests on.
struct moves_verdict {
  move_verdict verdict = move_verdict::refused;  ///< on all of it
  std::optional<std::string> reason = {};        ///< what does not hold, or why it was refused; one line
  std::string model = {};                        ///< as the caller calls it
  std::string dtype = {};                        ///< `float32`, `bfloat16`, …
  std::vector<move_check> checks = {};           ///< by length
  std::vector<greedy_check> greedy = {};         ///< none where frequencies depend on the text's length
};

/// Moves the keys of `model` in every way and compares them with a prefill at the new positions, in its own type: shift
/// and remap by `delta`, un-rotate and rotate again, cut what stands in front and close the gap, save and load, and
/// greedy text behind moved keys. A copy of the model in a wider type (float32, or float64 for float32) tells what the
/// type itself costs; it takes up to twice the model's memory beside it.
///
/// Whether a model's configuration belongs to its weights is another question: any frequencies make a model whose keys
/// can be moved.
/// @param name what the verdict calls the model
/// @return a verdict, `refused` with the reason for what the library refuses
[[nodiscard]] moves_verdict verify_moves(const causal_lm& model, const verify_moves_settings& settings = {},
                                         std::string name = "model");

/// The verdict as a table, a line for each check.
[[nodiscard]] std::string describe(const moves_verdict& verdict);

/// The verdict as JSON text, its members named as here.
[[nodiscard]] std::string to_json(const moves_verdict& verdict);

}  // namespace kvtransfer
