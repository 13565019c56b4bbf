// Normalizers, pre-tokenizers and decoders one by one, against the tokenizers package (make_fixtures.py).

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/tokenizers/decoders.hpp"
#include "model/tokenizers/fixtures.hpp"
#include "model/tokenizers/tokenizer_json.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;

namespace {

const nlohmann::json& parts() {
  static const nlohmann::json read = test::read_fixture("parts.json");
  return read;
}

std::vector<std::string> part_texts() { return parts()["texts"].get<std::vector<std::string>>(); }

/// Those that a part with many cases is tried on: as in make_fixtures.py.
std::vector<std::string> few_texts() {
  const auto all = part_texts();
  std::vector<std::string> few;
  for (std::size_t i = 0; i < 90; i += 2) {
    few.push_back(all[i]);
  }
  few.insert(few.end(), all.end() - 3, all.end());
  return few;
}

}  // namespace

TEST_CASE("each normalizer gives the text that tokenizers gives", "[model][tokenizers]") {
  const auto texts = part_texts();
  REQUIRE(parts()["normalizers"].size() > 10);
  for (const nlohmann::json& one : parts()["normalizers"]) {
    const auto steps = read_normalizers({one["json"], "fixture"});
    for (std::size_t i = 0; i < texts.size(); ++i) {
      CAPTURE(one["json"], texts[i]);
      text_piece piece{texts[i], true};
      for (const normalizer& step : steps) {
        step(piece);
      }
      CHECK(piece.text == one["texts"][i].get<std::string>());
    }
  }
}

TEST_CASE("each pre-tokenizer gives the words that tokenizers gives", "[model][tokenizers]") {
  REQUIRE(parts()["pre_tokenizers"].size() > 80);
  for (const nlohmann::json& one : parts()["pre_tokenizers"]) {
    const auto steps = read_pre_tokenizers({one["json"], "fixture"});
    const auto texts = one["few"].get<bool>() ? few_texts() : part_texts();
    REQUIRE(one["words"].size() == texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      CAPTURE(one["json"], texts[i]);
      std::vector<text_piece> pieces;
      if (!texts[i].empty()) {
        pieces.push_back({texts[i], true});
      }
      for (const pre_tokenizer& step : steps) {
        step(pieces);
      }
      std::vector<std::string> words;
      for (const text_piece& piece : pieces) {
        words.push_back(piece.text);
      }
      CHECK(words == one["words"][i].get<std::vector<std::string>>());
    }
  }
}

TEST_CASE("each decoder gives the text that tokenizers gives", "[model][tokenizers]") {
  REQUIRE(parts()["decoders"].size() > 10);
  for (const nlohmann::json& one : parts()["decoders"]) {
    const auto steps = read_decoders({one["json"], "fixture"});
    for (const nlohmann::json& example : one["cases"]) {
      CAPTURE(one["json"], example[0]);
      std::string text;
      const auto chain = decoding_chain(steps, text);
      for (const nlohmann::json& token : example[0]) {
        chain->take(token.get<std::string>());
      }
      chain->finish();
      CHECK(text == example[1].get<std::string>());
    }
  }
}
