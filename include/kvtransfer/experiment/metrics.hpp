#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvtransfer {

/// `text` with the letters A to Z in lower case; every other byte, and so any UTF-8 sequence, as it is.
inline std::string lower_case(std::string_view text) {
  std::string lowered(text);
  for (char& letter : lowered) {
    letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  }
  return lowered;
}

/// The markers that occur in `text`, in the markers' order and spelling. Case of A to Z is ignored; a marker may be
/// part of a word.
inline std::vector<std::string> markers_found(std::string_view text, std::span<const std::string> markers) {
  const std::string lowered = lower_case(text);
  std::vector<std::string> found;
  std::copy_if(markers.begin(), markers.end(), std::back_inserter(found),
               [&](const std::string& marker) { return lowered.find(lower_case(marker)) != lowered.npos; });
  return found;
}

/// Whether generation ended at once: EOS among the first 3 tokens, so at most 2 tokens before it.
/// @param tokens_before_eos number of generated tokens, EOS left out
inline bool is_stalled(bool stopped_at_eos, std::int64_t tokens_before_eos) {
  constexpr std::int64_t first_tokens = 3;
  return stopped_at_eos && tokens_before_eos < first_tokens;
}

/// Where a generation first differs from another.
struct divergence {
  std::int64_t step = 0;                        ///< tokens generated before the difference
  std::optional<std::int64_t> token;            ///< the token here; nothing where this one had ended
  std::optional<std::int64_t> reference_token;  ///< the token there; nothing where the reference had ended

  friend bool operator==(const divergence&, const divergence&) = default;
};

/// The first step at which two generations differ; nothing if they are equal. Ending earlier is a difference too.
inline std::optional<divergence> first_divergence(std::span<const std::int64_t> tokens,
                                                  std::span<const std::int64_t> reference) {
  const auto [here, there] = std::mismatch(tokens.begin(), tokens.end(), reference.begin(), reference.end());
  if (here == tokens.end() && there == reference.end()) {
    return std::nullopt;
  }
  divergence first;
  first.step = here - tokens.begin();
  first.token = here == tokens.end() ? std::nullopt : std::optional(*here);
  first.reference_token = there == reference.end() ? std::nullopt : std::optional(*there);
  return first;
}

}  // namespace kvtransfer
