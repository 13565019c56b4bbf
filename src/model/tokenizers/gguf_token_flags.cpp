#include "model/tokenizers/gguf_token_flags.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace kvtransfer::detail {

namespace {

constexpr std::array<std::string_view, 3> phi3_boundaries{"<unk>", "<s>", "<|endoftext|>"};
constexpr std::array<std::string_view, 4> phi4_mini_turns{"<|system|>", "<|user|>", "<|assistant|>", "<|end|>"};

bool named_phi3(std::string name) {
  std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  return name.find("phi-3") != name.npos || name.find("phi3") != name.npos;
}

}  // namespace

added_token with_white_space(const gguf_vocabulary& vocabulary, added_token token) {
  const bool phi = vocabulary.architecture == "phi3";
  if (vocabulary.model == "llama" && (phi || named_phi3(vocabulary.name))) {
    token.rstrip = std::ranges::find(phi3_boundaries, token.content) == phi3_boundaries.end();
  } else if (phi && vocabulary.pre == "dbrx") {
    token.lstrip = token.rstrip = token.special;
  } else if (phi && vocabulary.pre == "gpt-4o") {
    token.rstrip = std::ranges::find(phi4_mini_turns, token.content) != phi4_mini_turns.end();
  }
  return token;
}

}  // namespace kvtransfer::detail
