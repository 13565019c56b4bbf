#include "kvtransfer/experiment/prompt_ids.hpp"

#include "support/test.hpp"

using namespace kvtransfer;

namespace {

using id_list = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("a text begins with BOS where the model adds one", "[experiment][prompt_ids]") {
  const prompt_ids with = raw_prompts({1}, {7, 8}, {9});
  CHECK(ids_of(with.alone()) == id_list{1, 9});
  CHECK(ids_of(with.whole()) == id_list{1, 7, 8, 9});
  CHECK((with.head == prompt_text{{token_role::bos, {1}}, {token_role::source, {7, 8}}}));
  CHECK(begins_with_bos(with.alone()));
  CHECK(ids_of(without_bos(with.alone())) == id_list{9});
  const prompt_ids without = raw_prompts({}, {7, 8}, {9});
  CHECK(ids_of(without.whole()) == id_list{7, 8, 9});
  CHECK_FALSE(begins_with_bos(without.alone()));
  CHECK((without_bos(without.alone()) == without.alone()));
}

TEST_CASE("the last token of a text keeps its role, and no part is left empty", "[experiment][prompt_ids]") {
  const prompt_text text = {{token_role::target, {4, 5}}, {token_role::format, {6}}};
  const auto [most, last] = without_last_token(text);
  CHECK((most == prompt_text{{token_role::target, {4, 5}}}));
  CHECK((last == prompt_part{token_role::format, {6}}));
  CHECK(ids_of(without_last_token(most).first) == id_list{4});
}

TEST_CASE("a text is recorded part by part", "[experiment][prompt_ids]") {
  const prompt_text text = {{token_role::format, {3, 4}}, {token_role::target, {5}}};
  CHECK((parts_of(text, true) == sequence{{token_role::format, 2, true}, {token_role::target, 1, true}}));
  CHECK(count_of(text) == 3);
}
