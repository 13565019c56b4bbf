#include "kvtransfer/rope/detail/config_parameters.hpp"

#include <nlohmann/json.hpp>

#include "kvtransfer/rope/detail/builtin_architectures.hpp"
#include "support/message.hpp"
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
  const nlohmann::json config = heads_of_64(fields);
  return rope::detail::parameters_for(rope::detail::config_reader(config, "config"),
                                      rope::architecture_of(rope::builtin_architectures(), model_type), 0, type);
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
  CHECK(read({}, "glm").rotary_dim() == 64);  // half of its own 128
  CHECK(read({{"rotary_dim", 8}}, "gptj").rotary_dim() == 8);
  CHECK(read({{"rotary_dim", 8}}, "minimax_m2").rotary_dim() == 8);
  CHECK(read({}, "qwen3").head_dim == 128);
  CHECK(read({{"kv_channels", 32}}, "jetmoe").head_dim == 32);
  CHECK(read({{"head_dim", 128}}, "cohere2").head_dim == 64);
  CHECK(read({}, "gpt_oss").values.at("rope_type") == "yarn");
  CHECK(read({{"head_dim", 128}}).rotary_dim() == 128);
  CHECK(read({{"qk_rope_head_dim", 32}, {"partial_rotary_factor", 0.5}}, "deepseek_v3").rotary_dim() == 32);
}

TEST_CASE("a pretrained length beside the dictionary wins over the one inside", "[rope][config_parameters]") {
  const nlohmann::json scaling = {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 1024}};
  CHECK(read({{"rope_scaling", scaling}}).original_length() == 1024);
  CHECK(read({}, "phi3").original_length() == 4096);
  CHECK(read({{"rope_scaling", scaling}, {"original_max_position_embeddings", 2048}}).original_length() == 2048);
  CHECK(read({}).original_length() == 4096);
}

TEST_CASE("types under older names are read as what they became", "[rope][config_parameters]") {
  const auto type_of = [](const char* name, const char* model_type) {
    const nlohmann::json scaling = {{"type", name}, {"factor", 2.0}, {"short_factor", {1}}, {"long_factor", {1}}};
    return read({{"rope_scaling", scaling}}, model_type).values.at("rope_type");
  };
  CHECK(type_of("su", "phi3") == "longrope");
  CHECK(type_of("yarn", "phi3") == "longrope");
  CHECK(type_of("yarn", "qwen2") == "yarn");
  CHECK(type_of("mrope", "qwen2_vl_text") == "default");
  CHECK(type_of("mrope", "qwen2") == "mrope");  // no such type: refused where it is looked up
  const nlohmann::json alpha = {{"type", "dynamic"}, {"alpha", 1000.0}, {"factor", 1.0}};
  CHECK(read({{"rope_scaling", alpha}}, "hunyuan_v1_dense").values.at("rope_type") == "ntk_alpha");
}

TEST_CASE("an empty rope_scaling leaves the word to rope_parameters", "[rope][config_parameters]") {
  const nlohmann::json linear = {{"rope_type", "linear"}, {"factor", 2.0}, {"rope_theta", 5e5}};
  const rope::type_parameters parameters =
      read({{"rope_parameters", linear}, {"rope_scaling", nlohmann::json::object()}});
  CHECK(parameters.values.at("rope_type") == "linear");
  CHECK(parameters.theta() == 5e5);
}

TEST_CASE("models that rotate whole heads do so whatever share the config names", "[rope][config_parameters]") {
  CHECK(read({{"partial_rotary_factor", 0.5}}).rotary_dim() == 64);
  CHECK(read({{"partial_rotary_factor", 0.5}}, "phi3").rotary_dim() == 32);
  const nlohmann::json linear = {{"rope_type", "linear"}, {"factor", 2.0}};
  CHECK_THROWS_AS(read({{"partial_rotary_factor", 0.5}, {"rope_scaling", linear}}), value_error);
}

TEST_CASE("a base under the name of another architecture is not read", "[rope][config_parameters]") {
  CHECK(read({{"rope_theta", 25000}}, "gpt_neox").theta() == 1e4);
  CHECK(read({{"rope_theta", 1e6}}, "olmo3", "full_attention").theta() == 1e6);
  CHECK(read({{"rope_theta", 1e6}}, "olmo3", "sliding_attention").theta() == 5e5);
}

TEST_CASE("a nest is read by the types of the layers", "[rope][config_parameters]") {
  const nlohmann::json nest = {
      {"full_attention", {{"rope_type", "default"}, {"rope_theta", 5e6}, {"partial_rotary_factor", 0.5}}},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 1e4}}}};
  CHECK(read({{"rope_parameters", nest}}, "laguna", "full_attention").rotary_dim() == 64);
  CHECK(read({{"rope_parameters", nest}}, "laguna", "full_attention").theta() == 5e6);
  CHECK(read({{"rope_parameters", nest}}, "laguna", "sliding_attention").rotary_dim() == 128);
  CHECK(read({{"rope_parameters", {{"rope_type", "linear"}, {"factor", 8.0}}}}, "gemma3_text", "full_attention")
            .values.at("rope_type") == "default");
  CHECK_THROWS_AS(read({{"rope_parameters", nest}}, "llama"), value_error);
  CHECK_THROWS_AS(read({{"rope_parameters", {{"rope_type", "default"}}}}, "laguna", "full_attention"), value_error);
}

TEST_CASE("a key that could change the rotation and is not understood is refused by name",
          "[rope][config_parameters][misuse]") {
  const nlohmann::json stretched = {{"rope_type", "linear"}, {"factor", 2.0}, {"short_mscale", 1.1}};
  CHECK(test::message_of<value_error>([&] { (void)read({{"rope_scaling", stretched}}); }) ==
        "rope_parameters: short_mscale: expected no such key: it is not known what it does to the rotation, got 1.1");
  const nlohmann::json incomplete = {{"rope_type", "yarn"}};
  CHECK(test::message_of<value_error>([&] { (void)read({{"rope_scaling", incomplete}}); }) ==
        "rope_parameters: factor: expected a value, for the type yarn, got nothing");
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
