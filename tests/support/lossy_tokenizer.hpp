#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace kvtransfer::test {

/// Writes a `tokenizer.json` that does not give text back: no spaces, half the alphabet, and no bytes to fall back to.
inline void write_lossy_tokenizer(const std::filesystem::path& folder) {
  nlohmann::json vocabulary{{"<unk>", 0}, {"<s>", 1}, {".", 2}};
  for (char letter = 'a'; letter <= 'm'; ++letter) {
    vocabulary[std::string(1, letter)] = vocabulary.size();
  }
  const nlohmann::json tokenizer{
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", nlohmann::json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", nullptr},
      {"post_processor", nullptr},
      {"decoder", {{"type", "Sequence"}, {"decoders", {{{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", "<unk>"},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", true},
        {"byte_fallback", true},
        {"vocab", vocabulary},
        {"merges", nlohmann::json::array()}}}};
  std::ofstream(folder / "tokenizer.json") << tokenizer.dump();
}

}  // namespace kvtransfer::test
