#include "model/tokenizers/gguf_pre_tokenizers.hpp"

#include <fmt/format.h>

#include <array>
#include <span>
#include <string>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
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

// What llama.cpp falls back to where a converter did not know the model: four splits one after the other. No model's
// authors publish it. Source: ggml-org/llama.cpp, llama-vocab.cpp.
constexpr std::array fallback{R"([\p{P}\$\+<=>\^~\|]+)",
                              R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))", R"(\p{N}+)",
                              R"([0-9][0-9][0-9])"};

struct family {
  std::string_view name;
  std::span<const char* const> expressions;  ///< none: GPT-2's, which the byte level brings along
  bool digits_apart = false;
  bool nfc = false;
  bool ignore_merges = false;
  bool adds_bos = false;
};

// Normalizers and pre-tokenizers: the models' own tokenizer.json. `ignore_merges` and BOS: llama.cpp, llama-vocab.cpp.
constexpr std::array families{
    family{.name = "gpt-2", .expressions = {}},
    family{.name = "default", .expressions = fallback},
    family{.name = "smollm", .expressions = {}, .digits_apart = true},
    family{.name = "qwen2", .expressions = {&qwen2, 1}, .nfc = true},
    family{.name = "qwen35", .expressions = {&qwen35, 1}, .nfc = true},
    family{.name = "llama-bpe", .expressions = {&llama3, 1}, .ignore_merges = true, .adds_bos = true},
    family{.name = "llama3", .expressions = {&llama3, 1}, .ignore_merges = true, .adds_bos = true},
    family{.name = "llama-v3", .expressions = {&llama3, 1}, .ignore_merges = true, .adds_bos = true},
    family{.name = "smaug-bpe", .expressions = {&llama3, 1}, .ignore_merges = true},  // Llama 3's without BOS: SmolLM3
    family{.name = "dbrx", .expressions = {&llama3, 1}},
    family{.name = "tekken", .expressions = {&tekken, 1}, .ignore_merges = true, .adds_bos = true},
    family{.name = "gpt-4o", .expressions = {&o200k, 1}},
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
    for (const char* expression : one.expressions) {
      made.pre_tokenizers.push_back(
          split_at(text_pattern::regex(expression, std::string(file)), split_behavior::isolated));
    }
    made.pre_tokenizers.push_back(byte_level(add_space_prefix, one.expressions.empty()));
    return made;
  }
  std::string known;
  for (const family& one : families) {
    known += fmt::format("{}{}", known.empty() ? "one of " : ", ", one.name);
  }
  fail<file_error>(file, "tokenizer.ggml.pre", known, excerpt(name));
}

}  // namespace kvtransfer::detail
