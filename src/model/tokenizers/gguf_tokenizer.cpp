#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/model/tokenizers/gguf_vocabulary.hpp"
#include "model/tokenizers/byte_pair_tokenizer.hpp"
#include "model/tokenizers/gguf_pre_tokenizers.hpp"
#include "model/tokenizers/gguf_token_flags.hpp"
#include "model/tokenizers/sentencepiece_proto.hpp"
#include "model/tokenizers/sentencepiece_tokenizer.hpp"
#include "model/tokenizers/utf8.hpp"

namespace kvtransfer {

namespace {

using namespace detail;

enum token_type : std::int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

[[noreturn]] void refuse(const gguf_vocabulary& from, std::string_view key, std::string_view expected,
                         std::string_view got) {
  fail<file_error>(from.file.string(), fmt::format("tokenizer.ggml.{}", key), expected, got);
}

/// What both kinds rely on.
void check(const gguf_vocabulary& from) {
  const std::size_t count = from.tokens.size();
  if (count == 0 || count > INT32_MAX) {
    refuse(from, "tokens", fmt::format("1 to {} tokens", INT32_MAX), fmt::format("{}", count));
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (valid_utf8(from.tokens[i]) != from.tokens[i]) {
      refuse(from, fmt::format("tokens[{}]", i), "UTF-8", excerpt(from.tokens[i]));
    }
  }
  if (!from.token_types.empty() && from.token_types.size() != count) {
    refuse(from, "token_type", fmt::format("{} values, one a token", count),
           fmt::format("{}", from.token_types.size()));
  }
  for (std::size_t i = 0; i < from.token_types.size(); ++i) {
    if (from.token_types[i] < normal || from.token_types[i] > byte) {
      refuse(from, fmt::format("token_type[{}]", i), "1 to 6", fmt::format("{}", from.token_types[i]));
    }
  }
  const auto check_id = [&](std::string_view key, std::optional<std::int64_t> id) {
    if (id && (*id < 0 || static_cast<std::uint64_t>(*id) >= count)) {
      refuse(from, key, fmt::format("0 <= id < {}", count), fmt::format("{}", *id));
    }
  };
  check_id("bos_token_id", from.bos_token_id);
  check_id("eos_token_id", from.eos_token_id);
  check_id("unknown_token_id", from.unknown_token_id);
  for (const std::int64_t id : from.more_eos_ids) {
    check_id("eot_token_id", id);
  }
}

boundary_tokens boundaries_of(const gguf_vocabulary& from, std::optional<std::int64_t> bos,
                              std::optional<std::int64_t> eos, bool adds_bos) {
  boundary_tokens around;
  around.bos = bos;
  if (eos) {
    around.eos.push_back(*eos);
  }
  around.eos.insert(around.eos.end(), from.more_eos_ids.begin(), from.more_eos_ids.end());
  if (from.add_bos_token.value_or(adds_bos) && bos) {
    around.before.push_back(*bos);
  }
  if (from.add_eos_token.value_or(false) && eos) {
    around.behind.push_back(*eos);
  }
  return around;
}

any_tokenizer byte_pair_of(const gguf_vocabulary& from) {
  gguf_pre_tokenizer named = pre_tokenizer_named(from.pre, from.add_space_prefix.value_or(false), from.file.string());
  auto parts = std::make_shared<byte_pair_parts>();
  parts->normalizers = std::move(named.normalizers);
  parts->pre_tokenizers = std::move(named.pre_tokenizers);
  parts->model.ignore_merges = named.ignore_merges;
  for (std::size_t i = 0; i < from.tokens.size(); ++i) {
    if (!parts->model.vocabulary.insert(from.tokens[i], static_cast<std::int32_t>(i))) {
      refuse(from, fmt::format("tokens[{}]", i), "a token that no other id has", excerpt(from.tokens[i]));
    }
  }
  for (std::size_t i = 0; i < from.merges.size(); ++i) {
    const std::string& merge = from.merges[i];
    const std::size_t space = merge.find(' ', 1);
    if (space == merge.npos ||
        !parts->model.add_merge(merge.substr(0, space), merge.substr(space + 1), static_cast<std::int32_t>(i))) {
      refuse(from, fmt::format("merges[{}]", i), "two tokens that join to another, with a space between",
             excerpt(merge));
    }
  }
  for (std::size_t i = 0; i < from.token_types.size(); ++i) {
    const std::int32_t type = from.token_types[i];
    const bool special = type == control || type == unknown;
    if (!special && type != user_defined) {
      continue;
    }
    const added_token token{.content = from.tokens[i], .id = static_cast<std::int32_t>(i), .special = special};
    if (!parts->add(with_white_space(from, token))) {
      refuse(from, fmt::format("tokens[{}]", i), "a text", excerpt(from.tokens[i]));
    }
  }
  parts->decoders = {byte_level_step{}};
  parts->boundaries = boundaries_of(from, from.bos_token_id, from.eos_token_id, named.adds_bos);
  parts->files = {from.file};
  return byte_pair_tokenizer(std::move(parts));
}

/// Where a text gets a space in front: behind every special token, as llama.cpp and the tokenizer.json of Llama 2,
/// TinyLlama, Mistral's first and Phi-3 have it. Mistral's later ones, with special tokens around instructions, put
/// that space into their templates.
sentencepiece_parts::prefix prefix_of(const gguf_vocabulary& from) {
  using prefix = sentencepiece_parts::prefix;
  for (std::size_t i = 0; i < from.tokens.size(); ++i) {
    if (from.tokens[i] == "[INST]" && from.token_types[i] == control) {
      return prefix::first;
    }
  }
  return prefix::each;
}

/// The types with one token that is unknown, which SentencePiece asks for: files have none, as Gemma 3's whose <unk> is
/// a control token, or several.
std::vector<std::int32_t> with_one_unknown(const gguf_vocabulary& from) {
  std::vector<std::int32_t> types = from.token_types;
  if (std::ranges::count(types, unknown) == 1) {
    return types;
  }
  const auto named = std::ranges::find(from.tokens, "<unk>") - from.tokens.begin();
  const auto chosen = static_cast<std::size_t>(from.unknown_token_id.value_or(named));
  if (chosen >= types.size()) {
    refuse(from, "token_type", "a token of type 2, for what is unknown", "none");
  }
  std::ranges::replace(types, std::int32_t{unknown}, std::int32_t{control});
  types[chosen] = unknown;
  return types;
}

/// Tokens that take white space around them, which SentencePiece does not know of: they are looked for before it sees a
/// text. Their text is that of the metadata, where a space is a space. Source: llama.cpp, `tokenizer_st_partition`.
std::vector<added_token> tokens_with_white_space(const gguf_vocabulary& from) {
  std::vector<added_token> tokens;
  for (std::size_t i = 0; i < from.tokens.size(); ++i) {
    const std::int32_t type = from.token_types[i];
    const bool special = type == control || type == unknown;
    const added_token token{.content = from.tokens[i], .id = static_cast<std::int32_t>(i), .special = special};
    added_token flagged = with_white_space(from, token);
    if ((special || type == user_defined) && (flagged.lstrip || flagged.rstrip)) {
      tokens.push_back(std::move(flagged));
    }
  }
  return tokens;
}

any_tokenizer sentencepiece_of(gguf_vocabulary from) {
  using prefix = sentencepiece_parts::prefix;
  const std::size_t count = from.tokens.size();
  if (from.scores.size() != count) {
    refuse(from, "scores", fmt::format("{} values, one a token", count), fmt::format("{}", from.scores.size()));
  }
  if (from.token_types.empty()) {
    refuse(from, "token_type", fmt::format("{} values, one a token", count), "none");
  }
  from.token_types = with_one_unknown(from);
  const std::vector<added_token> found_before = tokens_with_white_space(from);
  std::unordered_set<std::size_t> their_ids;
  for (const added_token& token : found_before) {
    their_ids.insert(static_cast<std::size_t>(token.id));
  }
  auto parts =
      std::make_shared<sentencepiece_parts>(sentencepiece_model_of(from, their_ids), from.file.string(),
                                            from.add_space_prefix.value_or(true) ? prefix_of(from) : prefix::none);
  for (const added_token& token : found_before) {
    if (!parts->add(token)) {
      refuse(from, fmt::format("tokens[{}]", token.id), "a text that no other token has", excerpt(token.content));
    }
  }
  parts->add_control_pieces();
  const auto or_usual = [&](std::optional<std::int64_t> id, std::int64_t usual) {
    return id || static_cast<std::uint64_t>(usual) >= count ? id : std::optional(usual);
  };
  parts->boundaries = boundaries_of(from, or_usual(from.bos_token_id, 1), or_usual(from.eos_token_id, 2), true);
  parts->files = {from.file};
  return sentencepiece_tokenizer(std::move(parts));
}

}  // namespace

any_tokenizer tokenizer_of(const gguf_vocabulary& vocabulary) {
  check(vocabulary);
  if (vocabulary.model == "gpt2") {
    return byte_pair_of(vocabulary);
  }
  if (vocabulary.model == "llama") {
    return sentencepiece_of(vocabulary);
  }
  refuse(vocabulary, "model", "gpt2 or llama", excerpt(vocabulary.model));
}

}  // namespace kvtransfer
