#include "model/weights/gguf_turn_ends.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace kvtransfer::detail {

namespace {

/// Llama 3's, ChatML's, Phi-3's and Gemma's.
constexpr std::array<std::string_view, 4> texts{"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>"};

}  // namespace

std::vector<std::int64_t> gguf_turn_ends(const gguf_metadata& metadata) {
  std::vector<std::int64_t> ends;
  const std::optional<std::int64_t> eos = metadata.integer("tokenizer.ggml.eos_token_id");
  const auto add = [&](std::int64_t id) {
    if (id != eos && std::ranges::find(ends, id) == ends.end()) {
      ends.push_back(id);
    }
  };
  if (const auto stated = metadata.integer("tokenizer.ggml.eot_token_id")) {
    add(*stated);
  } else {
    const std::vector<std::string_view> tokens = metadata.texts("tokenizer.ggml.tokens");
    for (std::size_t id = 0; id < tokens.size(); ++id) {
      if (std::ranges::find(texts, tokens[id]) != texts.end()) {
        add(static_cast<std::int64_t>(id));
      }
    }
  }
  if (const auto stated = metadata.integer("tokenizer.ggml.eom_token_id")) {
    add(*stated);
  }
  return ends;
}

}  // namespace kvtransfer::detail
