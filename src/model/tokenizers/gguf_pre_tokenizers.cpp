#include "model/tokenizers/gguf_pre_tokenizers.hpp"

#include <fmt/format.h>

#include <array>
#include <string>

#include "kvtransfer/core/error.hpp"
#include "model/tokenizers/characters.hpp"

namespace kvtransfer::detail {

namespace {

// How each family splits a text: what its authors publish in tokenizer.json, where the alternatives mean, in order,
// contractions, words, numbers, symbols, line ends, and white space.

constexpr const char* llama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* qwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* qwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* tekken = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
                               R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
                               R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* o200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct family {
  std::string_view name;
  const char* expression;  ///< null: GPT-2's, which the byte level brings along
  bool digits_apart = false;
  bool nfc = false;
  bool ignore_merges = false;
  bool adds_bos = false;
};

// Normalizers and pre-tokenizers: the models' own tokenizer.json. `ignore_merges` and BOS: llama.cpp, llama-vocab.cpp.
constexpr std::array families{
    family{.name = "gpt-2", .expression = nullptr},
    family{.name = "default", .expression = nullptr},
    family{.name = "smollm", .expression = nullptr, .digits_apart = true},
    family{.name = "qwen2", .expression = qwen2, .nfc = true},
    family{.name = "qwen35", .expression = qwen35, .nfc = true},
    family{.name = "llama-bpe", .expression = llama3, .ignore_merges = true, .adds_bos = true},
    family{.name = "dbrx", .expression = llama3},
    family{.name = "tekken", .expression = tekken, .ignore_merges = true, .adds_bos = true},
    family{.name = "gpt-4o", .expression = o200k},
};

}  // namespace

gguf_pre_tokenizer pre_tokenizer_named(std::string_view name, bool add_space_prefix, std::string_view file) {
  for (const family& one : families) {
    if (one.name != name) {
      continue;
    }
    gguf_pre_tokenizer made;
    made.ignore_merges = one.ignore_merges;
    made.adds_bos = one.adds_bos;
    if (one.nfc) {
      made.normalizers.push_back(to_normal_form(normal_form::nfc));
    }
    if (one.digits_apart) {
      made.pre_tokenizers.push_back(split_at_characters(&is_number, split_behavior::isolated));
    }
    if (one.expression != nullptr) {
      made.pre_tokenizers.push_back(
          split_at(text_pattern::regex(one.expression, std::string(file)), split_behavior::isolated));
    }
    made.pre_tokenizers.push_back(byte_level(add_space_prefix, one.expression == nullptr));
    return made;
  }
  std::string known;
  for (const family& one : families) {
    known += fmt::format("{}{}", known.empty() ? "one of " : ", ", one.name);
  }
  fail<file_error>(file, "tokenizer.ggml.pre", known, fmt::format("\"{}\"", name));
}

}  // namespace kvtransfer::detail
