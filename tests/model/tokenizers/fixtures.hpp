#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/model/tokenizers/any_tokenizer.hpp"
#include "support/temporary_folder.hpp"

namespace kvtransfer::test {

using id_list = std::vector<std::int64_t>;

/// Where make_fixtures.py wrote.
inline std::filesystem::path tokenizer_fixtures() {
  return std::filesystem::path(KVT_SOURCE_DIR) / "tests/model/tokenizers/fixtures";
}

inline nlohmann::json read_fixture(const std::filesystem::path& name) {
  const auto file = tokenizer_fixtures() / name;
  return parse_json(read_text(file), file.string());
}

/// The texts that every vocabulary encodes; some are no UTF-8.
inline const std::vector<std::string>& hard_texts() {
  static const auto texts = [] {
    std::vector<std::string> all;
    for (const nlohmann::json& entry : read_fixture("texts.json")) {
      const auto hex = entry.get<std::string>();
      std::string& text = all.emplace_back();
      for (std::size_t i = 0; i < hex.size(); i += 2) {
        text += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
      }
    }
    return all;
  }();
  return texts;
}

/// A SentencePiece model small enough to be committed.
inline std::string small_sentencepiece_model() {
  return read_text(std::filesystem::path(KVT_SOURCE_DIR) / "tests/model/fixtures/tokenizer/tokenizer.model");
}

/// A folder with that model and one more file.
inline void put_sentencepiece(const temporary_folder& folder, std::string_view settings) {
  folder.put("tokenizer.model", small_sentencepiece_model());
  folder.put("tokenizer_config.json", settings);
}

}  // namespace kvtransfer::test
