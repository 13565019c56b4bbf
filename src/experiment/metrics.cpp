#include "kvtransfer/experiment/metrics.hpp"

#include <algorithm>
#include <iterator>

#include "model/tokenizers/characters.hpp"
#include "model/tokenizers/utf8.hpp"

namespace kvtransfer {

std::string lower_case(std::string_view text) {
  std::string lowered(text);
  for (char& letter : lowered) {
    letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  }
  return lowered;
}

namespace {

/// Whether the character that begins at `offset`, or holds the byte there, is a part of a word.
bool word_at(std::string_view text, std::size_t offset) {
  while (offset > 0 && (static_cast<unsigned char>(text[offset]) & 0xC0U) == 0x80U) {
    --offset;
  }
  return detail::is_word(detail::character_at(text, offset).code_point);
}

bool occurs(std::string_view text, std::string_view marker, marker_match where) {
  for (std::size_t at = text.find(marker); at != text.npos; at = text.find(marker, at + 1)) {
    const std::size_t end = at + marker.size();
    if (where == marker_match::anywhere ||
        (!(at > 0 && word_at(text, at - 1)) && !(end < text.size() && word_at(text, end)))) {
      return true;
    }
  }
  return false;
}

marker_match match_of(const test_case& test) {
  return test.whole_words ? marker_match::whole_words : marker_match::anywhere;
}

}  // namespace

std::vector<std::string> markers_found(std::string_view text, std::span<const std::string> markers,
                                       marker_match where) {
  const std::string lowered = lower_case(text);
  std::vector<std::string> found;
  std::copy_if(markers.begin(), markers.end(), std::back_inserter(found),
               [&](const std::string& marker) { return occurs(lowered, lower_case(marker), where); });
  return found;
}

std::vector<std::string> markers_found(std::string_view text, const test_case& test) {
  return markers_found(text, test.markers, match_of(test));
}

std::vector<std::string> forbidden_found(std::string_view text, const test_case& test) {
  return markers_found(text, test.forbidden, match_of(test));
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
