#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/project/paired_source.hpp"
#include "kvtransfer/project/projector_models.hpp"
#include "kvtransfer/project/slot_pairs.hpp"
#include "kvtransfer/project/token_alignment.hpp"

namespace kvtransfer {

/// A tokenizer that knows the special tokens around a text besides: which of them two tokenizers have in common, and
/// what a model's own rule puts in front of a text.
template <class T>
concept BoundedTokenCodec = TokenCodec<T> && requires(const T& codec) {
  { codec.bos() } -> std::same_as<std::optional<std::int64_t>>;
  { codec.eos() } -> std::same_as<std::vector<std::int64_t>>;
  { codec.opening() } -> std::same_as<std::vector<std::int64_t>>;
};

/// One text as two models read it.
struct paired_text {
  std::vector<std::int64_t> token_ids;  ///< what the source is to read
  std::vector<std::int64_t> slots;      ///< of the source, for each of the receiver's tokens; empty: one for one
  slot_pairs pairs;                     ///< those of the receiver's slots that something of the source stands for

  /// The source's cache slot by slot as the receiver's tokens. @param source of `token_ids`
  /// @throws what `paired_source` throws
  [[nodiscard]] cache by_receiver(const cache_view<>& source) const {
    if (slots.empty()) {
      return cache(source);
    }
    const auto count = static_cast<std::int64_t>(slots.size());
    return paired_source(source, slots, position_map(1, 1, 1, {position_row::consecutive(0, count)}));
  }
};

/// A token that tells nothing, for places where nothing stands.
template <TokenCodec Codec>
[[nodiscard]] std::int64_t filler_token(const Codec& codec) {
  return codec.encode(".", false).back();
}

/// BOS for BOS, and one EOS for another, as `align_tokens` asks for them.
template <BoundedTokenCodec Receiver, BoundedTokenCodec Source>
[[nodiscard]] std::map<std::int64_t, std::int64_t> paired_boundaries(const Receiver& receiver, const Source& source) {
  std::map<std::int64_t, std::int64_t> pairs;
  if (receiver.bos() && source.bos()) {
    pairs[*receiver.bos()] = *source.bos();
  }
  const std::vector<std::int64_t> from = receiver.eos();
  const std::vector<std::int64_t> to = source.eos();
  for (std::size_t i = 0; i < std::min(from.size(), to.size()); ++i) {
    pairs[from[i]] = to[i];
  }
  return pairs;
}

/// What the source reads of a receiver's text, and which of its tokens stands for which of the receiver's.
/// @param ids the receiver's, special tokens included
/// @throws value_error where tokens are paired by text and the source's tokenizer doesn't give the text back
template <BoundedTokenCodec Receiver, BoundedTokenCodec Source>
[[nodiscard]] paired_text pair_text(const std::vector<std::int64_t>& ids, const Receiver& receiver,
                                    const Source& source, token_pairing pairing) {
  if (pairing == token_pairing::text) {
    std::vector<std::int64_t> own = source.opening();
    const std::vector<std::int64_t> inner = source.encode(receiver.decode(ids), true);
    own.insert(own.end(), inner.begin(), inner.end());
    auto slots = source_slots_by_text(token_texts(ids, receiver), token_texts(own, source));
    return {std::move(own), std::move(slots), slot_pairs::same(static_cast<std::int64_t>(ids.size()))};
  }
  const auto choice = pairing == token_pairing::longest ? alignment_choice::longest : alignment_choice::first;
  token_alignment aligned =
      align_tokens(ids, receiver, source, paired_boundaries(receiver, source), filler_token(source), choice);
  slot_pairs pairs = aligned.pairs();
  return {std::move(aligned.token_ids), {}, std::move(pairs)};
}

/// Likewise where both have one tokenizer: the same tokens, one for one.
[[nodiscard]] inline paired_text same_text(const std::vector<std::int64_t>& ids) {
  return {ids, {}, slot_pairs::same(static_cast<std::int64_t>(ids.size()))};
}

}  // namespace kvtransfer
