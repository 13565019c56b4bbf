#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/cache/with_dtype.hpp"
#include "kvtransfer/experiment/condition_registry.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/experiment/suite_prompts.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// A folder with the caches of two tests.
struct two_files {
  causal_lm model = small_model();
  suite_prompts suite{&model, {sample_prompts(), raw_prompts({sample_bos}, some_tokens(7, 40), sample_target())}};
  temporary_folder folder;

  two_files() {
    suite.tests[0].test = "first";
    suite.tests[1].test = "second";
    for (const prompt_ids& test : suite.tests) {
      save(test.test, prefill(model, {ids_of(test.head)}).view());
    }
  }

  void save(const std::string& test, const cache_view<>& source) const {
    save_cache(folder.path() / (test + ".safetensors"), source);
  }

  [[nodiscard]] prepared_input prepared(const std::string& words = "") const {
    const std::string id = "from_files:" + folder.path().string() + words;
    const any_condition bound = condition_registry::standard().parse_one(id).within(suite);
    prompt_caches caches(model);
    CHECK_FALSE(bound.not_applicable(suite.tests[0]).has_value());
    CHECK(bound.tokens_needed(suite.tests[0], 40) == 13);
    return bound.prepare(caches, suite.tests[0], {});
  }

  [[nodiscard]] at::Tensor logits(const std::string& words = "") const {
    return plan_logits(model, prepared(words).input)[0][4];
  }

  [[nodiscard]] at::Tensor logits_behind(std::size_t test) const {
    return plan_logits(model, plan_of({joined(ids_of(suite.tests[test].head), sample_target())}))[0][12];
  }
};

}  // namespace

TEST_CASE("a file's cache is injected like the model's own, and controlled like it", "[experiment][conditions]") {
  const two_files setup;
  CHECK(max_difference(setup.logits(), setup.logits_behind(0)) < 1e-4);
  CHECK(max_difference(setup.logits("+control:other_source"), setup.logits_behind(1)) < 1e-4);
  CHECK(max_difference(setup.logits("+control:zero"), setup.logits_behind(0)) > 1e-2);
  const prepared_input read = setup.prepared();
  CHECK(read.input.basis() == origin_basis::recorded);
  CHECK(parts_fit_plan(read));
  REQUIRE(read.parts.size() == 3);
  CHECK(read.parts[0].role == token_role::bos);
}

TEST_CASE("a file of unknown origin is refused unless that is said, and then shows", "[experiment][conditions]") {
  const two_files setup;
  const cache own = prefill(setup.model, {ids_of(setup.suite.tests[0].head)});
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t layer = 0; layer < own.layers(); ++layer) {
    keys.push_back(own.view().layer(layer).keys());
    values.push_back(own.view().layer(layer).values());
  }
  setup.save("first", cache_view<>(keys, values, own.view().frame()));
  CHECK_THROWS_AS(setup.prepared(), frame_error);
  CHECK(setup.prepared("+assume_unknown_origin").input.basis() == origin_basis::unknown_origin);
  setup.save("first", prefill(small_model(2), {ids_of(setup.suite.tests[0].head)}).view());
  CHECK_THROWS_AS(setup.prepared("+assume_unknown_origin"), frame_error);
}

TEST_CASE("a file kept in half precision is widened for the model", "[experiment][conditions]") {
  const two_files setup;
  setup.save("first", with_dtype(prefill(setup.model, {ids_of(setup.suite.tests[0].head)}).view(), at::kHalf).view());
  CHECK(max_difference(setup.logits(), setup.logits("+cache_precision:float16")) == 0);
}

TEST_CASE("it depends on the bytes of the file that it reads, and on no other", "[experiment][conditions]") {
  const two_files setup;
  const auto digest = [&](const std::string& words, std::size_t test) {
    const std::string id = "from_files:" + setup.folder.path().string() + words;
    return condition_registry::standard().parse_one(id).within(setup.suite).depends_on(setup.suite.tests[test]);
  };
  const std::string first = digest("", 0);
  const std::string second = digest("", 1);
  const std::string other = digest("+control:other_source", 0);
  CHECK(first.size() == 32);
  CHECK(first != second);
  setup.save("second", prefill(small_model(2), {ids_of(setup.suite.tests[1].head)}).view());
  CHECK(digest("", 0) == first);
  CHECK(digest("", 1) != second);
  CHECK(digest("+control:other_source", 0) != other);
}

TEST_CASE("a test without a file, and a name that is no file's, are refused by name", "[experiment][conditions]") {
  const two_files setup;
  const any_condition condition = conditions::from_files(setup.folder.path());
  prompt_ids third = sample_prompts();
  third.test = "third";
  CHECK(message_of<file_error>([&] { (void)condition.tokens_needed(third, 4); }) ==
        (setup.folder.path() / "third.safetensors").string() +
            ": file: expected the cache of test third, got no file of that name");
  third.test = "../third";
  CHECK(message_of<file_error>([&] { (void)condition.tokens_needed(third, 4); }).find("a name that a file can have") !=
        std::string::npos);
}
