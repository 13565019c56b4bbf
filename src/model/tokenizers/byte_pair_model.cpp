#include "model/tokenizers/byte_pair_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <queue>
#include <tuple>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "model/tokenizers/utf8.hpp"

namespace kvtransfer::detail {

namespace {

/// A token of the word, in a doubly linked list by index.
struct symbol {
  std::int32_t id;
  std::int64_t previous;
  std::int64_t next;
  bool merged_away = false;
};

/// A merge that was possible when it was queued.
struct candidate {
  std::int32_t rank;
  std::int64_t left;
  std::int32_t result;

  bool operator>(const candidate& other) const { return std::tie(rank, left) > std::tie(other.rank, other.left); }
};

constexpr std::int64_t nothing = -1;

/// The word while neighbours are merged, the one of smallest rank first and of those the leftmost.
template <class RuleOf>
class merging {
 public:
  merging(const std::vector<std::int32_t>& tokens, RuleOf rule_of) : rule_of_(rule_of) {
    const auto count = static_cast<std::int64_t>(tokens.size());
    for (std::int64_t i = 0; i < count; ++i) {
      symbols_.push_back({tokens[static_cast<std::size_t>(i)], i - 1, i + 1 < count ? i + 1 : nothing});
    }
    for (std::int64_t i = 0; i + 1 < count; ++i) {
      queue(i);
    }
  }

  void run(std::vector<std::int64_t>& ids) {
    while (!candidates_.empty()) {
      const candidate best = candidates_.top();
      candidates_.pop();
      const merge_rule* rule = at(best.left).merged_away ? nullptr : rule_at(best.left);
      if (rule != nullptr && rule->result == best.result) {  // else a neighbour has changed since
        merge(best.left, best.result);
      }
    }
    for (const symbol& left : symbols_) {
      if (!left.merged_away) {
        ids.push_back(left.id);
      }
    }
  }

 private:
  symbol& at(std::int64_t i) { return symbols_[static_cast<std::size_t>(i)]; }

  const merge_rule* rule_at(std::int64_t left) {
    return at(left).next == nothing ? nullptr : rule_of_(at(left).id, at(at(left).next).id);
  }

  void queue(std::int64_t left) {
    if (const merge_rule* rule = rule_at(left)) {
      candidates_.push({rule->rank, left, rule->result});
    }
  }

  void merge(std::int64_t left, std::int32_t result) {
    symbol& merged = at(left);
    symbol& right = at(merged.next);
    merged.id = result;
    right.merged_away = true;
    merged.next = right.next;
    if (merged.next != nothing) {
      at(merged.next).previous = left;
      queue(left);
    }
    if (merged.previous != nothing) {
      queue(merged.previous);
    }
  }

  RuleOf rule_of_;
  std::vector<symbol> symbols_;
  std::priority_queue<candidate, std::vector<candidate>, std::greater<>> candidates_;
};

}  // namespace

bool byte_pair_model::add_merge(const std::string& left, const std::string& right, std::int32_t rank) {
  const auto left_id = vocabulary.id_of(left);
  const auto right_id = vocabulary.id_of(right);
  const auto result = vocabulary.id_of(left + right);
  if (!left_id || !right_id || !result) {
    return false;
  }
  merges.insert_or_assign(pair_key(*left_id, *right_id), merge_rule{rank, *result});
  return true;
}

std::optional<std::vector<std::int32_t>> byte_pair_model::tokens_of_bytes(std::string_view character) const {
  std::vector<std::int32_t> tokens;
  for (const char byte : character) {
    const auto id = vocabulary.id_of(fmt::format("<0x{:02X}>", static_cast<std::uint8_t>(byte)));
    if (!id) {
      return std::nullopt;
    }
    tokens.push_back(*id);
  }
  return tokens;
}

std::vector<std::int32_t> byte_pair_model::first_tokens(std::string_view word, bool without_special) const {
  std::vector<std::int32_t> tokens;
  std::optional<std::int32_t> unknown;  // held until a known character comes, so that it can be fused
  for (std::size_t at = 0; at < word.size();) {
    const std::string character(word.substr(at, character_at(word, at).bytes));
    at += character.size();
    const auto id = vocabulary.id_of(character);
    if (id && !(without_special && special.contains(*id))) {
      if (unknown) {
        tokens.push_back(*std::exchange(unknown, std::nullopt));
      }
      tokens.push_back(*id);
      continue;
    }
    if (byte_fallback) {
      if (const auto bytes = tokens_of_bytes(character)) {
        tokens.insert(tokens.end(), bytes->begin(), bytes->end());
        continue;
      }
    }
    if (!unk_token) {
      continue;
    }
    if (unknown && !fuse_unk) {
      tokens.push_back(*unknown);
    }
    unknown = vocabulary.id_of(*unk_token);
    if (!unknown) {
      fail<value_error>("encode", "text", "characters of the vocabulary",
                        fmt::format("{}, and unk_token {} has no id", excerpt(character), excerpt(*unk_token)));
    }
  }
  if (unknown) {
    tokens.push_back(*unknown);
  }
  return tokens;
}

std::vector<std::int64_t> byte_pair_model::encode_word(std::string_view word, bool without_special) const {
  std::vector<std::int64_t> ids;
  if (ignore_merges) {
    const auto id = vocabulary.id_of(std::string(word));
    if (id && !(without_special && special.contains(*id))) {
      return {*id};
    }
  }
  const auto rule_of = [&](std::int32_t left, std::int32_t right) -> const merge_rule* {
    const auto found = merges.find(pair_key(left, right));
    const bool usable = found != merges.end() && !(without_special && special.contains(found->second.result));
    return usable ? &found->second : nullptr;
  };
  merging(first_tokens(word, without_special), rule_of).run(ids);
  return ids;
}

void byte_pair_model::encode(std::string_view word, bool plain, std::vector<std::int64_t>& ids) const {
  const std::int64_t unknown = unk_token ? vocabulary.id_of(*unk_token).value_or(-1) : -1;
  const auto forbidden = [&](std::int64_t id) { return special.contains(id) && id != unknown; };
  std::vector<std::int64_t> found = encode_word(word, /*without_special=*/false);
  // A vocabulary can have learnt to merge the very characters of a special token.
  if (plain && std::any_of(found.begin(), found.end(), forbidden)) {
    found = encode_word(word, /*without_special=*/true);
  }
  ids.insert(ids.end(), found.begin(), found.end());
}

}  // namespace kvtransfer::detail
