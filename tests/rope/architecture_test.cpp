#include "kvtransfer/rope/architecture.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "kvtransfer/rope/detail/builtin_architectures.hpp"
#include "support/message.hpp"
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

TEST_CASE("a model type that nobody listed is refused with those that are", "[rope][architectures][misuse]") {
  const rope::architecture_table table = {{"mine", {}}, {"yours", {.theta = 5e5}}, {"bloom", {.refused = "ALiBi"}}};
  CHECK(message_of<value_error>([&] { (void)rope::architecture_of(table, "theirs"); }) ==
        R"(config: model_type: expected one of mine, yours, got "theirs")");
  CHECK(message_of<value_error>([&] { (void)rope::architecture_of(table, ""); }) ==
        "config: model_type: expected one of mine, yours, got none");
}

TEST_CASE("every default in the table is JSON, every language model it names is there", "[rope][architectures]") {
  const rope::architecture_table& table = rope::builtin_architectures();
  for (const auto& [name, model] : table) {
    INFO(name);
    CHECK((model.default_parameters.empty() || nlohmann::json::parse(model.default_parameters).is_object()));
    CHECK((model.rotates_if_value.empty() || nlohmann::json::accept(model.rotates_if_value)));
    CHECK((model.text_type.empty() || table.at(std::string(model.text_type)).refused.empty()));
    CHECK((!model.by_layer_type || !model.default_parameters.empty()));
  }
}

}  // namespace kvtransfer::test
