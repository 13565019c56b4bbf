#include "kvtransfer/rope/detail/config_parameters.hpp"

#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

/// A config of 64-element heads, with `fields` added.
nlohmann::json heads_of_64(nlohmann::json fields) {
  nlohmann::json config = {
      {"hidden_size", 256}, {"num_attention_heads", 4}, {"num_hidden_layers", 2}, {"max_position_embeddings", 4096}};
  if (fields.is_object()) {
    config.update(fields);
  }
  return config;
}

rope::type_parameters read(const nlohmann::json& fields, const char* model_type = "llama",
                           const std::string& type = "") {
  return rope::detail::parameters_for(
      heads_of_64(fields), rope::architecture_of(rope::builtin_architectures(), model_type), model_type, 0, type);
}

}  // namespace

TEST_CASE("older and newer spellings say the same", "[rope][config_parameters]") {
  const nlohmann::json older = {{"rope_theta", 5e5}, {"rope_scaling", {{"type", "linear"}, {"factor", 4.0}}}};
  const nlohmann::json newer = {{"rope_parameters", {{"rope_type", "linear"}, {"rope_theta", 5e5}, {"factor", 4.0}}}};
  for (const nlohmann::json& fields : {older, newer}) {
    const rope::type_parameters parameters = read(fields);
    CHECK(parameters.values.at("rope_type") == "linear");
    CHECK(parameters.theta() == 5e5);
    CHECK(parameters.number("factor") == 4.0);
    CHECK(parameters.head_dim == 64);
    CHECK(parameters.max_length() == 4096);
  }
}

TEST_CASE("what a config leaves out is what its model type assumes", "[rope][config_parameters]") {
  CHECK(read({}).theta() == 1e4);
  CHECK(read({{"rope_scaling", nullptr}}, "mixtral").theta() == 1e6);
  CHECK(read({{"rotary_emb_base", 2e4}}, "gpt_neox").theta() == 2e4);
  CHECK(read({}, "gpt_neox").rotary_dim() == 16);
  CHECK(read({{"rotary_pct", 0.5}}, "gpt_neox").rotary_dim() == 32);
  CHECK(read({}, "glm").rotary_dim() == 32);
  CHECK(read({{"rotary_dim", 8}}, "gptj").rotary_dim() == 8);
  CHECK(read({{"head_dim", 128}}).rotary_dim() == 128);
  CHECK(read({{"qk_rope_head_dim", 32}, {"partial_rotary_factor", 0.5}}).rotary_dim() == 32);
}

TEST_CASE("a pretrained length beside the dictionary wins over the one inside", "[rope][config_parameters]") {
  const nlohmann::json scaling = {{"type", "su"}, {"original_max_position_embeddings", 1024}};
  CHECK(read({{"rope_scaling", scaling}}).original_length() == 1024);
  CHECK(read({{"rope_scaling", scaling}, {"original_max_position_embeddings", 2048}}).original_length() == 2048);
  CHECK(read({}).original_length() == 4096);
}

TEST_CASE("types under older names are read as what they became", "[rope][config_parameters]") {
  const auto type_of = [](const char* name, const char* model_type) {
    return read({{"rope_scaling", {{"type", name}}}}, model_type).values.at("rope_type");
  };
  CHECK(type_of("su", "phi3") == "longrope");
  CHECK(type_of("yarn", "phi3") == "longrope");
  CHECK(type_of("yarn", "qwen2") == "yarn");
  CHECK(type_of("mrope", "qwen2_vl_text") == "default");
  CHECK(read({{"rope_scaling", {{"type", "dynamic"}, {"alpha", 1000.0}}}}).values.at("rope_type") == "ntk_alpha");
}

TEST_CASE("Gemma 3 spells its two bases in two ways", "[rope][config_parameters]") {
  const nlohmann::json older = {
      {"rope_theta", 1e6}, {"rope_local_base_freq", 2e4}, {"rope_scaling", {{"rope_type", "linear"}, {"factor", 8.0}}}};
  const nlohmann::json newer = {{"rope_parameters",
                                 {{"full_attention", {{"rope_type", "linear"}, {"rope_theta", 1e6}, {"factor", 8.0}}},
                                  {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 2e4}}}}}};
  for (const nlohmann::json& fields : {older, newer}) {
    const rope::type_parameters full = read(fields, "gemma3_text", "full_attention");
    CHECK(full.theta() == 1e6);
    CHECK(full.values.at("rope_type") == "linear");
    const rope::type_parameters sliding = read(fields, "gemma3_text", "sliding_attention");
    CHECK(sliding.theta() == 2e4);
    CHECK(sliding.values.at("rope_type") == "default");
  }
}

TEST_CASE("ModernBERT has bases under names of its own", "[rope][config_parameters]") {
  const nlohmann::json fields = {{"global_rope_theta", 8e4}, {"local_rope_theta", 2e4}};
  CHECK(read(fields, "modernbert", "full_attention").theta() == 8e4);
  CHECK(read(fields, "modernbert", "sliding_attention").theta() == 2e4);
  CHECK(read({}, "modernbert", "full_attention").theta() == 1.6e5);
}

TEST_CASE("rotary parameters that are no dictionary are refused", "[rope][config_parameters][misuse]") {
  CHECK_THROWS_AS(read({{"rope_parameters", 3}}), value_error);
  CHECK_THROWS_AS(read({{"rope_scaling", "linear"}}), value_error);
  CHECK_THROWS_AS(read({{"rope_scaling", {{"type", 3}}}}), value_error);
  CHECK_THROWS_AS(read({{"num_attention_heads", 0}}), value_error);
}

}  // namespace kvtransfer::test
