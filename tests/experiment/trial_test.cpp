#include "experiment/trial.hpp"

#include <filesystem>

#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("a record keeps what was generated, read and found", "[experiment][trial]") {
  const any_tokenizer text = open_tokenizer(std::filesystem::path(KVT_SOURCE_DIR) / "tests/model/fixtures/tokenizer");
  const test_case test{"t", "s", "t", {"PARIS", "Rome"}, {}, {}, {}};
  completion made;
  made.token_ids = text.encode("The capital is Paris");
  made.stop = stop_reason::eos;
  made.top2_margins.assign(made.token_ids.size() + 1, 0.25f);
  prepared_input read;
  read.parts = {{token_role::bos, 1, false}};
  cache pretended = prefill(small_model(), {some_tokens(3)});
  cache_frame frame = pretended.target();
  frame.add_edit({edit_kind::noise, cache_half::both, {0}, {}, {{0, 2}}, "seed 9"});
  pretended.assume_frame(std::move(frame));
  read.input = prepend(pretended.view(), {{1}});
  const trial_record record = with_completion(record_of(read, 9), made, text, test);
  CHECK(record.seed == 9);
  CHECK(record.text == "The capital is Paris");
  CHECK(record.markers_found == std::vector<std::string>{"PARIS"});
  CHECK(record.stop == stop_reason::eos);
  CHECK_FALSE(record.stalled);
  CHECK(record.top2_margins.size() == made.token_ids.size() + 1);
  CHECK((record.read == read.parts));
  CHECK(record.assumed_frame);
  CHECK(record.edits == std::vector<std::string>{"noise in keys and values, layers 0, slots 0-1, from seed 9"});
}

TEST_CASE("a generation that ends at once is recorded as stalled", "[experiment][trial]") {
  const any_tokenizer text = open_tokenizer(std::filesystem::path(KVT_SOURCE_DIR) / "tests/model/fixtures/tokenizer");
  completion made;
  made.stop = stop_reason::eos;
  CHECK(with_completion({}, made, text, {"t", "s", "t", {"x"}, {}, {}, {}}).stalled);
  made.stop = stop_reason::length;
  CHECK_FALSE(with_completion({}, made, text, {"t", "s", "t", {"x"}, {}, {}, {}}).stalled);
}

TEST_CASE("what was read is recorded with its tokens and positions", "[experiment][trial]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(3)});
  const plan input = prepend(source.view(), {{7, 8}}, place::gap{10});
  const sequence parts{{token_role::bos, 1, true}, {token_role::source, 2, true}, {token_role::target, 2, false}};
  const std::vector<std::int64_t> ids = some_tokens(3);
  CHECK((located(parts, input) == sequence{{token_role::bos, 1, true, {ids[0]}, {{0, 1}}},
                                           {token_role::source, 2, true, {ids[1], ids[2]}, {{1, 2}}},
                                           {token_role::target, 2, false, {7, 8}, {{13, 2}}}}));
  const sequence noise{{token_role::noise, 3, true}, {token_role::target, 2, false}};
  CHECK(located(noise, input).front().token_ids.empty());
  CHECK((located(noise, input).front().positions == std::vector<slot_range>{{0, 3}}));
  CHECK((located({{token_role::target, 2, false}}, input) == sequence{{token_role::target, 2, false}}));
}
