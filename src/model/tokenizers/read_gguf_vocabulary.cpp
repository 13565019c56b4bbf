#include <limits>
#include <string_view>

#include "kvtransfer/model/tokenizers/gguf_vocabulary.hpp"
#include "kvtransfer/model/weights/gguf_metadata.hpp"
#include "model/weights/gguf_turn_ends.hpp"

namespace kvtransfer {

namespace {

std::vector<std::string> texts(const gguf_metadata& metadata, std::string_view key) {
  const std::vector<std::string_view> read = metadata.texts(key);
  return {read.begin(), read.end()};
}

std::vector<std::int32_t> token_types(const gguf_metadata& metadata) {
  constexpr std::string_view key = "tokenizer.ggml.token_type";
  std::vector<std::int32_t> types;
  for (const std::int64_t type : metadata.integers(key)) {
    if (type < 0 || type > std::numeric_limits<std::int32_t>::max()) {
      metadata.refuse(key, "types of tokens, 1 to 6");
    }
    types.push_back(static_cast<std::int32_t>(type));
  }
  return types;
}

}  // namespace

gguf_vocabulary read_gguf_vocabulary(const gguf_metadata& metadata) {
  gguf_vocabulary vocabulary;
  vocabulary.file = metadata.file();
  vocabulary.architecture = metadata.text("general.architecture").value_or("");
  vocabulary.name = metadata.text("general.name").value_or("");
  vocabulary.model = metadata.text("tokenizer.ggml.model").value_or("");
  vocabulary.pre = metadata.text("tokenizer.ggml.pre").value_or("");
  vocabulary.tokens = texts(metadata, "tokenizer.ggml.tokens");
  vocabulary.merges = texts(metadata, "tokenizer.ggml.merges");
  vocabulary.scores = metadata.floats("tokenizer.ggml.scores");
  vocabulary.token_types = token_types(metadata);
  vocabulary.bos_token_id = metadata.integer("tokenizer.ggml.bos_token_id");
  vocabulary.eos_token_id = metadata.integer("tokenizer.ggml.eos_token_id");
  vocabulary.unknown_token_id = metadata.integer("tokenizer.ggml.unknown_token_id");
  vocabulary.more_eos_ids = detail::gguf_turn_ends(metadata);
  vocabulary.add_bos_token = metadata.boolean("tokenizer.ggml.add_bos_token");
  vocabulary.add_eos_token = metadata.boolean("tokenizer.ggml.add_eos_token");
  vocabulary.add_space_prefix = metadata.boolean("tokenizer.ggml.add_space_prefix");
  return vocabulary;
}

}  // namespace kvtransfer
