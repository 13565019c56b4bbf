#include "kvtransfer/experiment/metrics.hpp"

#include <algorithm>

namespace kvtransfer {

std::string lower_case(std::string_view text) {
  std::string lowered(text);
  for (char& letter : lowered) {
    letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  }
  return lowered;
}

std::vector<std::string> markers_found(std::string_view text, std::span<const std::string> markers) {
  const std::string lowered = lower_case(text);
  std::vector<std::string> found;
  std::copy_if(markers.begin(), markers.end(), std::back_inserter(found),
               [&](const std::string& marker) { return lowered.find(lower_case(marker)) != lowered.npos; });
  return found;
}

bool is_stalled(bool stopped_at_eos, std::int64_t tokens_before_eos) {
  constexpr std::int64_t first_tokens = 3;
  return stopped_at_eos && tokens_before_eos < first_tokens;
}

std::optional<divergence> first_divergence(std::span<const std::int64_t> tokens,
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
