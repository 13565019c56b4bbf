#include <cstdint>
#include <filesystem>
#include <regex>
#include <string>
#include <vector>

#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "support/test.hpp"

namespace {

const std::filesystem::path lab_llama = std::filesystem::path{KVT_SOURCE_DIR} / "examples/models/lab-llama";

}  // namespace

TEST_CASE("the laboratory model's tokenizer gives the ids that AutoTokenizer gives", "[model][tokenizer]") {
  // Source: examples/train_lab/convert_tokenizer.py, which checked both against these ids.
  const auto file = std::filesystem::path{KVT_SOURCE_DIR} / "tests/model/fixtures/lab_llama_tokenizer.json";
  const auto cases = kvtransfer::parse_json(kvtransfer::read_text(file), file.string());
  const auto tokenizer = kvtransfer::open_tokenizer(lab_llama);
  CHECK(cases.size() >= 20);
  for (const auto& entry : cases) {
    const auto text = entry.at("text").get<std::string>();
    CAPTURE(text);
    CHECK(tokenizer.encode(text) == entry.at("ids").get<std::vector<std::int64_t>>());
  }
}

TEST_CASE("the laboratory model's tokenizer tells nothing about where it was trained", "[model][tokenizer]") {
  const std::string content = kvtransfer::read_text(lab_llama / "tokenizer.model");
  // A vocabulary has no piece with a slash before three letters; a path has.
  CHECK_FALSE(std::regex_search(content, std::regex{"/[a-z]{3}"}));
}
