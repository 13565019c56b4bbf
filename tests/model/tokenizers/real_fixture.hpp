#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/model/tokenizers/any_tokenizer.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "model/tokenizers/fixtures.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

/// What real_vocabularies.py wrote: 2,000 texts, and of each vocabulary what the tokenizers package makes of them.
class real_fixture {
 public:
  real_fixture() : file_(safetensors_file::open(tokenizer_fixtures() / "real.safetensors")) {}

  /// Texts, or texts that ids decode to.
  [[nodiscard]] std::vector<std::string> texts(const std::string& name) const {
    std::vector<std::string> all;
    for (const auto& each : rows<std::uint8_t>(name)) {
      all.emplace_back(each->begin(), each->end());
    }
    return all;
  }

  /// Ids; nothing where a case is left out.
  [[nodiscard]] std::vector<std::optional<id_list>> ids(const std::string& name) const {
    std::vector<std::optional<id_list>> all;
    for (const auto& each : rows<std::int32_t>(name)) {
      all.push_back(each ? std::optional(id_list(each->begin(), each->end())) : std::nullopt);
    }
    return all;
  }

  /// The texts that a list of exceptions is of.
  [[nodiscard]] std::vector<std::size_t> of(const std::string& name) const {
    std::vector<std::size_t> all;
    for (const std::int32_t each : numbers<std::int32_t>(name + ".of")) {
      all.push_back(static_cast<std::size_t>(each));
    }
    return all;
  }

 private:
  template <class Number>
  [[nodiscard]] std::vector<Number> numbers(const std::string& name) const {
    const at::Tensor tensor = file_.tensor(name);
    const auto* const first = tensor.const_data_ptr<Number>();
    return {first, first + tensor.numel()};
  }

  template <class Number>
  [[nodiscard]] std::vector<std::optional<std::vector<Number>>> rows(const std::string& name) const {
    const std::vector<Number> flat = numbers<Number>(name);
    std::vector<std::optional<std::vector<Number>>> all;
    auto next = flat.begin();
    for (const std::int32_t count : numbers<std::int32_t>(name + ".counts")) {
      all.push_back(count < 0 ? std::nullopt : std::optional(std::vector<Number>(next, next + count)));
      next += count < 0 ? 0 : count;
    }
    return all;
  }

  safetensors_file file_;
};

/// Ids of every text, plain and as markup; the text that they decode to, at once and as a stream.
inline void check_against_tokenizers(const any_tokenizer& tokens, const std::string& name) {
  const real_fixture expected;
  const std::vector<std::string> texts = expected.texts("texts");
  const auto plain = expected.ids(name + ".plain");
  auto markup = plain;
  std::vector<std::string> decoded;
  for (const std::string& text : texts) {
    decoded.push_back(
        nlohmann::json::parse(nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))
            .get<std::string>());  // what is no UTF-8 becomes U+FFFD
  }
  for (std::size_t i = 0; const std::size_t of : expected.of(name + ".markup")) {
    markup[of] = expected.ids(name + ".markup")[i++];
  }
  for (std::size_t i = 0; const std::size_t of : expected.of(name + ".decoded")) {
    decoded[of] = expected.texts(name + ".decoded")[i++];
  }
  REQUIRE(texts.size() == 2000);
  REQUIRE(plain.size() == texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    CAPTURE(name, i, texts[i]);
    if (!plain[i]) {
      continue;
    }
    CHECK(tokens.encode(texts[i]) == *plain[i]);
    CHECK(tokens.encode_markup(texts[i]) == *markup[i]);
    CHECK(tokens.decode(*plain[i]) == decoded[i]);
    text_stream stream = tokens.stream();
    std::string streamed;
    for (const std::int64_t id : *plain[i]) {
      streamed += stream.push(id);
    }
    CHECK(streamed + stream.finish() == decoded[i]);
  }
}

}  // namespace kvtransfer::test
