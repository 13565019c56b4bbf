#include "kvtransfer/experiment/prompt_ids.hpp"

#include <filesystem>

#include "kvtransfer/model/tokenizer.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("prompts are encoded each by itself, without BOS", "[experiment][prompt_ids]") {
  const tokenizer text = tokenizer::open(std::filesystem::path(KVT_SOURCE_DIR) / "tests/model/fixtures/tokenizer");
  const test_case test{"t", "The capital of France is Paris.", "What is it?", {"Paris"}, {}, {}, {}};
  const prompt_ids prompts = encode_prompts(text, test);
  CHECK(prompts.bos == text.bos());
  CHECK(prompts.source == text.encode(test.source));
  CHECK(prompts.target == text.encode(test.target));
}

TEST_CASE("a text begins with BOS where the model has one", "[experiment][prompt_ids]") {
  CHECK(begun_text({1, {}, {}}, {7, 8}) == std::vector<std::int64_t>{1, 7, 8});
  CHECK(begun_text({std::nullopt, {}, {}}, {7, 8}) == std::vector<std::int64_t>{7, 8});
}
