#include "kvtransfer/project/paired_text.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "kvtransfer/model/tokenizers/text_codec.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

static_assert(BoundedTokenCodec<text_codec>);

namespace {

const text_codec receiver{open_tokenizer(KVT_SOURCE_DIR "/examples/models/lab-llama")};
const text_codec source{open_tokenizer(KVT_SOURCE_DIR "/tests/model/fixtures/tokenizer")};

std::vector<std::int64_t> some_text() {
  return encode_whole(receiver.tokens, "My name is Zephyrine and I live in Seattle.");
}

}  // namespace

TEST_CASE("by text, each model reads its own tokens, and every slot of the receiver has one of the source",
          "[project][alignment]") {
  const std::vector<std::int64_t> ids = some_text();
  const paired_text paired = pair_text(ids, receiver, source, token_pairing::text);
  CHECK(paired.token_ids == encode_whole(source.tokens, receiver.decode(ids)));
  CHECK(paired.slots == source_slots_by_text(token_texts(ids, receiver), token_texts(paired.token_ids, source)));
  CHECK(paired.token_ids.size() != ids.size());
  CHECK(paired.pairs == slot_pairs::same(static_cast<std::int64_t>(ids.size())));
}

TEST_CASE("one for one, BOS stands for BOS, and what has no partner is left out", "[project][alignment]") {
  const std::vector<std::int64_t> ids = some_text();
  for (const token_pairing pairing : {token_pairing::first, token_pairing::longest}) {
    const paired_text paired = pair_text(ids, receiver, source, pairing);
    CHECK(paired.slots.empty());
    CHECK(paired.token_ids.size() == ids.size());
    CHECK(paired.token_ids.front() == source.bos());
    CHECK(paired.pairs == slot_pairs::same(static_cast<std::int64_t>(ids.size())));
  }
  std::vector<std::int64_t> with_unknown = ids;
  with_unknown.push_back(0);  // a special token that is not named
  const paired_text paired = pair_text(with_unknown, receiver, source, token_pairing::first);
  CHECK(paired.token_ids.back() == filler_token(source));
  CHECK(paired.pairs == slot_pairs::same(static_cast<std::int64_t>(ids.size())));
}

TEST_CASE("a paired source stands slot by slot where the receiver's tokens do", "[project][alignment]") {
  nlohmann::json config = small_config();
  config["vocab_size"] = 2048;
  const causal_lm model = small_model(1, config);
  const std::vector<std::int64_t> ids = some_text();
  const paired_text paired = pair_text(ids, receiver, source, token_pairing::text);
  const cache read = prefill(model, {paired.token_ids});
  const cache by_receiver = paired.by_receiver(read.view());
  REQUIRE(by_receiver.length() == static_cast<std::int64_t>(ids.size()));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto slot = static_cast<std::int64_t>(i);
    CHECK(max_difference(by_receiver.view().layer(2).values().select(2, slot),
                         read.view().layer(2).values().select(2, paired.slots[i])) == 0);
  }
  CHECK(by_receiver.view().frame().layer(0).positions == position_map::consecutive(0, by_receiver.length()));
  const cache same = same_text(ids).by_receiver(prefill(model, {ids}).view());
  CHECK(same.length() == static_cast<std::int64_t>(ids.size()));
}
