#include "kvtransfer/rope/detail/architectures.hpp"

#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("each model type has the pairing that transformers writes", "[rope][architectures]") {
  const rope::architecture_table& table = rope::builtin_architectures();
  for (const char* name :
       {"gptj", "codegen", "glm", "glm4", "cohere", "cohere2", "ernie4_5", "helium", "llama4_text"}) {
    CHECK(rope::architecture_of(table, name).pairs == rope::pairing::interleaved);
  }
  for (const char* name :
       {"llama", "qwen2", "qwen3", "gemma3_text", "gpt_oss", "phi", "phi3", "glm4_moe", "deepseek_v3"}) {
    CHECK(rope::architecture_of(table, name).pairs == rope::pairing::half_split);
  }
}

TEST_CASE("a model type that nobody listed follows Llama", "[rope][architectures]") {
  const rope::architecture model = rope::architecture_of(rope::builtin_architectures(), "someones_own");
  CHECK(model.pairs == rope::pairing::half_split);
  CHECK(model.theta == 1e4);
  CHECK(model.layers == rope::rotating_layers::all);
}

}  // namespace kvtransfer::test
