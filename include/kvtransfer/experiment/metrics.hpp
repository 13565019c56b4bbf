#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/experiment/suite.hpp"

namespace kvtransfer {

/// `text` with the letters A to Z in lower case; every other byte, and so any UTF-8 sequence, as it is.
[[nodiscard]] std::string lower_case(std::string_view text);

/// Where a marker counts.
enum class marker_match {
  anywhere,     ///< as part of a word too
  whole_words,  ///< where neither the character before nor the one behind is a letter, mark, digit or underscore
};

/// The markers that occur in `text`, in the markers' order and spelling. Case of A to Z is ignored.
/// @param text UTF-8; bytes that are none count as no letters
[[nodiscard]] std::vector<std::string> markers_found(std::string_view text, std::span<const std::string> markers,
                                                     marker_match where = marker_match::anywhere);

/// The test's markers that occur in `text`, as the test has them matched.
[[nodiscard]] std::vector<std::string> markers_found(std::string_view text, const test_case& test);

/// Likewise its forbidden markers.
[[nodiscard]] std::vector<std::string> forbidden_found(std::string_view text, const test_case& test);

/// Whether generation ended at once: EOS among the first 3 tokens, so at most 2 tokens before it.
/// @param tokens_before_eos number of generated tokens, EOS left out
[[nodiscard]] bool is_stalled(bool stopped_at_eos, std::int64_t tokens_before_eos);

/// Where a generation first differs from another.
struct divergence {
  std::int64_t step = 0;                        ///< tokens generated before the difference
  std::optional<std::int64_t> token;            ///< the token here; nothing where this one had ended
  std::optional<std::int64_t> reference_token;  ///< the token there; nothing where the reference had ended

  friend bool operator==(const divergence&, const divergence&) = default;
};

/// The first step at which two generations differ; nothing if they are equal. Ending earlier is a difference too.
[[nodiscard]] std::optional<divergence> first_divergence(std::span<const std::int64_t> tokens,
                                                         std::span<const std::int64_t> reference);

}  // namespace kvtransfer
