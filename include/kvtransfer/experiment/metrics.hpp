#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvtransfer {

/// `text` with the letters A to Z in lower case; every other byte, and so any UTF-8 sequence, as it is.
[[nodiscard]] std::string lower_case(std::string_view text);

/// The markers that occur in `text`, in the markers' order and spelling. Case of A to Z is ignored; a marker may be
/// part of a word.
[[nodiscard]] std::vector<std::string> markers_found(std::string_view text, std::span<const std::string> markers);

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
