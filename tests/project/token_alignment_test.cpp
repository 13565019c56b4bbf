#include "kvtransfer/project/token_alignment.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Tokens that are the words given, id by id; text is cut greedily. A byte that no word begins with has no token.
struct words {
  std::vector<std::string> known;

  [[nodiscard]] std::string decode(std::span<const std::int64_t> ids) const {
    std::string text;
    for (const std::int64_t id : ids) {
      text += known.at(static_cast<std::size_t>(id));
    }
    return text;
  }
  [[nodiscard]] std::vector<std::int64_t> encode(std::string_view text, bool) const {
    std::vector<std::int64_t> ids;
    while (!text.empty()) {
      std::size_t best = 0;
      std::int64_t id = -1;
      for (std::size_t i = 0; i < known.size(); ++i) {
        if (!known[i].empty() && known[i].size() > best && text.starts_with(known[i])) {
          best = known[i].size();
          id = static_cast<std::int64_t>(i);
        }
      }
      if (id < 0) {
        return {};
      }
      ids.push_back(id);
      text.remove_prefix(best);
    }
    return ids;
  }
};
static_assert(TokenCodec<words>);

/// The lab model's SentencePiece tokenizer in the midst of a text.
struct lab_codec {
  any_tokenizer tokens = open_tokenizer(KVT_SOURCE_DIR "/examples/models/lab-llama");

  [[nodiscard]] std::string decode(std::span<const std::int64_t> ids) const { return tokens.decode(ids); }
  [[nodiscard]] std::vector<std::int64_t> encode(std::string_view text, bool begins) const {
    const text_segment segment{std::string(text)};
    return tokens.encode_segments(std::span(&segment, 1), begins ? text_begin::fresh : text_begin::continued);
  }
};
static_assert(TokenCodec<lab_codec>);

const words receiver_words{{"", "The", " Paris", " is", " big", "?", "\xC3"}};
const words source_words{{"", " ", "The", " Par", "is", "big", "i", "s", "X"}};

}  // namespace

TEST_CASE("each token of the receiver is encoded alone by the source's tokenizer", "[project][alignment]") {
  const std::vector<std::int64_t> ids{0, 1, 2, 3, 4, 5};
  const token_alignment first = align_tokens(ids, receiver_words, source_words, {{0, 8}}, 0);
  CHECK(first.token_ids == std::vector<std::int64_t>{8, 2, 3, 1, 1, 0});
  CHECK(first.split == std::vector<std::int64_t>{2, 3, 4});
  CHECK(first.without_partner == std::vector<std::int64_t>{5});
  CHECK(first.pairs() == slot_pairs{{0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}});
  const token_alignment longest = align_tokens(ids, receiver_words, source_words, {}, 0, alignment_choice::longest);
  CHECK(longest.token_ids == std::vector<std::int64_t>{0, 2, 3, 4, 5, 0});
  CHECK(longest.without_partner == std::vector<std::int64_t>{0, 5});
}

TEST_CASE("a tokenizer aligned with itself gives the same tokens", "[project][alignment]") {
  const lab_codec lab;
  const std::string text = "Hello, my name is Lyra Quaenn and I live in Seattle. Größe: 12 °C, 你好!";
  std::vector<std::int64_t> ids = lab.tokens.encode(text);
  const std::vector<std::string> texts = token_texts(ids, lab);
  std::string whole;
  for (const std::string& each : texts) {
    whole += each;
  }
  CHECK(whole == text);
  CHECK(texts[0] == "Hello");
  const token_alignment aligned = align_tokens(ids, lab, lab, {}, 0);
  std::size_t different = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool spread = texts[i].empty() || (i > 0 && texts[i - 1].empty());  // a character of several tokens
    different += !spread && aligned.token_ids[i] != ids[i];
  }
  CHECK(different == 0);
  CHECK_FALSE(aligned.without_partner.empty());
  for (const std::int64_t slot : aligned.without_partner) {
    CHECK(texts[static_cast<std::size_t>(slot)].empty());
  }
}

TEST_CASE("tokens of one text are paired by where they end", "[project][alignment]") {
  CHECK(pair_by_text({"The", " Paris", " is"}, {"Th", "e Par", "is", " is"}) == slot_pairs{{0, 1, 2}, {1, 2, 3}});
  CHECK(pair_by_text({"", "The", " Par", "is"}, {"", "The Paris"}) == slot_pairs{{1, 2, 3}, {1, 1, 1}});
  CHECK(pair_by_text({}, {}) == slot_pairs{});
  CHECK(message_of<value_error>([] { static_cast<void>(pair_by_text({"The", " cat"}, {"The c", "ut"})); }) ==
        "pair_by_text: source: expected the receiver's text in other tokens, got another text from byte 5 on");
}
