// Vocabularies of models that people have, on 2,000 hard strings, against the tokenizers package
// (real_vocabularies.py).

#include <cstdlib>
#include <filesystem>

#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "model/tokenizers/real_fixture.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("Llama 3, Qwen 2, tekken and Mistral v3 give the ids and texts that tokenizers gives",
          "[model][tokenizers]") {
  const char* const folder = std::getenv("KVT_VOCABULARIES");
  for (const char* const name : {"llama3", "qwen", "tekken", "mistral3"}) {
    if (folder == nullptr || !std::filesystem::exists(std::filesystem::path(folder) / name / "tokenizer.json")) {
      WARN("skipped: KVT_VOCABULARIES does not name a folder with " << name << " (real_vocabularies.py fetches it)");
      continue;
    }
    test::check_against_tokenizers(open_tokenizer(std::filesystem::path(folder) / name), name);
  }
}
