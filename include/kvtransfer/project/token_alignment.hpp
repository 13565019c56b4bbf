#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/project/slot_pairs.hpp"

namespace kvtransfer {

/// What an alignment asks of a tokenizer: the text of tokens that follow each other, without special ones, and the
/// tokens of text. `begins` says whether the text begins with what is encoded: some tokenizers put a space there.
template <class T>
concept TokenCodec = requires(const T& codec, std::span<const std::int64_t> ids, std::string_view text, bool begins) {
  { codec.decode(ids) } -> std::same_as<std::string>;
  { codec.encode(text, begins) } -> std::same_as<std::vector<std::int64_t>>;
};

/// Which of several tokens stands for the one that they are the text of.
enum class alignment_choice : std::uint8_t {
  first,   ///< the first
  longest  ///< the one of most bytes; of several, the first of them
};

/// One token of the source for each token of the receiver, so that slot i of one cache belongs to slot i of the other.
struct token_alignment {
  std::vector<std::int64_t> token_ids;  ///< what the source is to read: as many as the receiver reads
  std::vector<std::int64_t> split;  ///< tokens of the receiver that are several of the source's, of which one was taken
  std::vector<std::int64_t> without_partner;  ///< tokens of the receiver whose place only a filler holds

  /// The slots that belong together: all but those without a partner.
  [[nodiscard]] slot_pairs pairs() const {
    slot_pairs pairs;
    for (std::int64_t slot = 0; std::cmp_less(slot, token_ids.size()); ++slot) {
      if (std::ranges::find(without_partner, slot) == without_partner.end()) {
        pairs.receiver.push_back(slot);
        pairs.source.push_back(slot);
      }
    }
    return pairs;
  }
};

/// The text of each token, as it reads behind those in front of it; all together give the whole text. A character
/// spread over several tokens belongs to the last of them.
template <TokenCodec Codec>
[[nodiscard]] std::vector<std::string> token_texts(const std::vector<std::int64_t>& ids, const Codec& codec) {
  constexpr std::string_view unfinished = "\xEF\xBF\xBD";  // U+FFFD: bytes that are no character yet
  std::vector<std::string> texts;
  std::size_t begin = 0;  // of a window that ends in tokens whose text is settled
  std::size_t settled = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::span<const std::int64_t> all(ids);
    const std::string before = codec.decode(all.subspan(begin, settled - begin));
    const std::string now = codec.decode(all.subspan(begin, i + 1 - begin));
    const bool last = i + 1 == ids.size();
    if (now.starts_with(before) && (last || !now.ends_with(unfinished))) {
      texts.push_back(now.substr(before.size()));
      begin = settled;  // the tokens settled just now are context enough for the next
      settled = i + 1;
    } else {
      texts.emplace_back();
    }
  }
  return texts;
}

/// Each token of the receiver's text encoded alone by the source's tokenizer, as Cache-to-Cache aligns two models.
/// @param ids the receiver's, special tokens included
/// @param special tokens of the receiver that a token of the source stands for as they are: BOS for BOS
/// @param filler what the source reads in the place of a token that has no partner: one without text, as a special
///        token that is not named, or bytes that are no character
/// Source: thu-nics/C2C, rosetta/model/aligner.py, but for the text of a token, which there is decoded alone.
template <TokenCodec Receiver, TokenCodec Source>
[[nodiscard]] token_alignment align_tokens(const std::vector<std::int64_t>& ids, const Receiver& receiver,
                                           const Source& source, const std::map<std::int64_t, std::int64_t>& special,
                                           std::int64_t filler, alignment_choice choice = alignment_choice::first) {
  const std::vector<std::string> texts = token_texts(ids, receiver);
  token_alignment aligned;
  bool begins = true;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto slot = static_cast<std::int64_t>(i);
    const auto named = special.find(ids[i]);
    if (named != special.end()) {
      aligned.token_ids.push_back(named->second);
      continue;
    }
    const std::vector<std::int64_t> candidates =
        texts[i].empty() ? std::vector<std::int64_t>{} : source.encode(texts[i], begins);
    begins = begins && texts[i].empty();
    if (candidates.empty()) {
      aligned.without_partner.push_back(slot);
      aligned.token_ids.push_back(filler);
      continue;
    }
    if (candidates.size() > 1) {
      aligned.split.push_back(slot);
    }
    const auto bytes = [&](std::int64_t id) { return source.decode(std::span(&id, 1)).size(); };
    aligned.token_ids.push_back(choice == alignment_choice::first ? candidates.front()
                                                                  : *std::ranges::max_element(candidates, {}, bytes));
  }
  return aligned;
}

/// Slots of two caches of one text that each model has read in its own tokens: each token of the receiver with the one
/// of the source that holds its last byte. Tokens without text have no partner.
/// @param receiver, source see `token_texts`
/// @throws value_error where the two texts are not the same: such tokenizers cannot be aligned
[[nodiscard]] inline slot_pairs pair_by_text(const std::vector<std::string>& receiver,
                                             const std::vector<std::string>& source) {
  const auto whole = [](const std::vector<std::string>& texts) {
    std::string all;
    for (const std::string& text : texts) {
      all += text;
    }
    return all;
  };
  const std::string expected = whole(receiver);
  const std::string found = whole(source);
  if (expected != found) {
    const auto differs = std::ranges::mismatch(expected, found).in1 - expected.begin();
    fail<value_error>("pair_by_text", "source", "the receiver's text in other tokens",
                      fmt::format("another text from byte {} on", differs));
  }
  slot_pairs pairs;
  std::size_t reached = 0;  // bytes of the receiver's tokens so far
  std::size_t end = 0;      // of the source's token `next - 1`
  std::size_t next = 0;
  for (std::size_t slot = 0; slot < receiver.size(); ++slot) {
    reached += receiver[slot].size();
    while (next < source.size() && end < reached) {
      end += source[next++].size();
    }
    if (!receiver[slot].empty()) {
      pairs.receiver.push_back(static_cast<std::int64_t>(slot));
      pairs.source.push_back(static_cast<std::int64_t>(next) - 1);
    }
  }
  return pairs;
}

}  // namespace kvtransfer
