#include "model/tokenizers/added_tokens.hpp"

#include <algorithm>

#include "model/tokenizers/characters.hpp"
#include "model/tokenizers/utf8.hpp"

namespace kvtransfer::detail {

namespace {

/// Where the character begins that ends before `at` > 0.
std::size_t character_before(std::string_view text, std::size_t at) {
  do {
    --at;
  } while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

bool word_goes_on(std::string_view text, const text_range& match) {
  const bool before = match.begin > 0 && is_word(character_at(text, character_before(text, match.begin)).code_point);
  return before || (match.end < text.size() && is_word(character_at(text, match.end).code_point));
}

std::size_t white_space_begin(std::string_view text, std::size_t at) {
  while (at > 0 && is_white_space(character_at(text, character_before(text, at)).code_point)) {
    at = character_before(text, at);
  }
  return at;
}

std::size_t white_space_end(std::string_view text, std::size_t at) {
  while (at < text.size() && is_white_space(character_at(text, at).code_point)) {
    at += character_at(text, at).bytes;
  }
  return at;
}

}  // namespace

bool added_token_finder::insert(const std::string& written, const added_token& token) {
  if (written.empty()) {
    return false;
  }
  std::size_t at = 0;
  for (const char byte : written) {
    const auto [place, is_new] = nodes_[at].next.emplace(byte, nodes_.size());
    at = place->second;
    if (is_new) {
      nodes_.emplace_back();
    }
  }
  if (nodes_[at].token) {
    return false;
  }
  nodes_[at].token = tokens_.size();
  tokens_.push_back(token);
  return true;
}

std::optional<std::pair<std::size_t, std::size_t>> added_token_finder::longest_at(std::string_view text,
                                                                                  std::size_t begin) const {
  std::optional<std::pair<std::size_t, std::size_t>> longest;
  std::size_t at = 0;
  for (std::size_t i = begin; i < text.size(); ++i) {
    const auto next = nodes_[at].next.find(text[i]);
    if (next == nodes_[at].next.end()) {
      break;
    }
    at = next->second;
    if (nodes_[at].token) {
      longest = std::pair(i + 1, *nodes_[at].token);
    }
  }
  return longest;
}

std::vector<token_or_text> added_token_finder::split(std::string_view text, bool plain) const {
  const text_range whole{0, text.size()};
  return split(text, plain ? std::span<const text_range>() : std::span(&whole, 1));
}

std::vector<token_or_text> added_token_finder::split(std::string_view text, std::span<const text_range> markup) const {
  std::vector<token_or_text> parts;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    while (!markup.empty() && markup.front().end <= at) {
      markup = markup.subspan(1);
    }
    const bool in_markup = !markup.empty() && markup.front().begin <= at;
    auto found = longest_at(text, at);
    if (found && in_markup && found->first > markup.front().end && tokens_[found->second].special) {
      found = longest_at(text.substr(0, markup.front().end), at);
    }
    if (!found) {
      ++at;
      continue;
    }
    text_range match{at, found->first};
    at = match.end;  // what is passed over is passed over whole
    const added_token& token = tokens_[found->second];
    if ((token.special && !in_markup) || (token.single_word && word_goes_on(text, match))) {
      continue;
    }
    if (token.lstrip) {
      match.begin = std::max(white_space_begin(text, match.begin), done);
    }
    if (token.rstrip) {
      match.end = white_space_end(text, match.end);
    }
    if (match.begin > done) {
      parts.push_back({{done, match.begin}, std::nullopt});
    }
    parts.push_back({match, token.id});
    done = match.end;
  }
  if (done < text.size()) {
    parts.push_back({{done, text.size()}, std::nullopt});
  }
  return parts;
}

}  // namespace kvtransfer::detail
