// SmolLM2's tokenizer from its GGUF file, on 2,000 hard strings, against the one that its authors define.

#include <cstdlib>
#include <filesystem>

#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "model/tokenizers/real_fixture.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("SmolLM2's metadata gives the ids and texts of its authors' tokenizer", "[model][tokenizers][smollm2]") {
  const char* const path = std::getenv("KVT_SMOLLM2_GGUF");
  if (path == nullptr || !std::filesystem::exists(path)) {
    WARN("skipped: KVT_SMOLLM2_GGUF does not name SmolLM2-135M-Instruct.Q4_1.gguf");
    return;
  }
  test::check_against_tokenizers(open_tokenizer(path), "smollm2");
}
