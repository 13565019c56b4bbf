#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <vector>

#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "support/temporary_folder.hpp"
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

TEST_CASE("a tokenizer's settings do to the laboratory model's vocabulary what they do in AutoTokenizer",
          "[model][tokenizer]") {
  using id_list = std::vector<std::int64_t>;
  const auto file = std::filesystem::path{KVT_SOURCE_DIR} / "tests/model/fixtures/lab_llama_tokenizer_settings.json";
  const auto cases = kvtransfer::parse_json(kvtransfer::read_text(file), file.string());
  REQUIRE(cases.size() == 3);  // no BOS, no space in front, added tokens
  for (const auto& entry : cases) {
    CAPTURE(entry.at("tokenizer_config").dump());
    const kvtransfer::test::temporary_folder folder;
    folder.put("tokenizer.model", kvtransfer::read_text(lab_llama / "tokenizer.model"));
    folder.put("tokenizer_config.json", entry.at("tokenizer_config").dump());
    const auto tokenizer = kvtransfer::open_tokenizer(folder.path());
    for (const auto& known : entry.at("texts")) {
      const auto text = known.at("text").get<std::string>();
      CAPTURE(text);
      CHECK(tokenizer.encode_markup(text) == known.at("markup").get<id_list>());
      if (!text.starts_with("<|")) {  // a whole text is somebody's own, in which no special token is read
        CHECK(kvtransfer::encode_whole(tokenizer, text) == known.at("whole").get<id_list>());
      }
    }
    for (const auto& known : entry.at("decoded")) {
      CAPTURE(known.at("ids").dump());
      CHECK(tokenizer.decode(known.at("ids").get<id_list>()) == known.at("text").get<std::string>());
    }
  }
}

TEST_CASE("the laboratory model's tokenizer tells nothing about where it was trained", "[model][tokenizer]") {
  const std::string content = kvtransfer::read_text(lab_llama / "tokenizer.model");
  // A vocabulary has no piece with a slash before three letters; a path has.
  CHECK_FALSE(std::regex_search(content, std::regex{"/[a-z]{3}"}));
}
