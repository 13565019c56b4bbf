#include "kvtransfer/rope/rotary_embedding.hpp"

#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

nlohmann::json two_layers(nlohmann::json fields) {
  nlohmann::json config = {{"model_type", "llama"},
                           {"hidden_size", 64},
                           {"num_attention_heads", 4},
                           {"num_hidden_layers", 2},
                           {"max_position_embeddings", 128}};
  if (fields.is_object()) {
    config.update(fields);
  }
  return config;
}

}  // namespace

TEST_CASE("a config yields one embedding per layer", "[rope][rotary_embedding]") {
  const std::vector<rotary_embedding> embeddings = rotary_embeddings_from_config(two_layers({}));
  REQUIRE(embeddings.size() == 2);
  CHECK(embeddings[0].rotates());
  CHECK_FALSE(embeddings[0].depends_on_length());
  CHECK(embeddings[0].rope_type() == "default");
  CHECK(embeddings[0].at(1) == embeddings[1].at(100000));
  CHECK(embeddings[0].at(1).rotary_dim() == 16);
}

TEST_CASE("a layer without RoPE has an embedding that rotates nothing", "[rope][rotary_embedding]") {
  const std::vector<rotary_embedding> embeddings =
      rotary_embeddings_from_config(two_layers({{"model_type", "smollm3"}, {"no_rope_layers", {1, 0}}}));
  CHECK(embeddings[0].at(1).rotates());
  CHECK_FALSE(embeddings[1].rotates());
  CHECK_FALSE(embeddings[1].at(1).rotates());
}

TEST_CASE("a multimodal config is read for its text model", "[rope][rotary_embedding]") {
  const nlohmann::json text = two_layers(
      {{"model_type", "qwen2_vl_text"}, {"rope_scaling", {{"type", "mrope"}, {"mrope_section", {2, 3, 3}}}}});
  const nlohmann::json config = {{"model_type", "qwen2_vl"}, {"text_config", text}};
  const rotary_specification specification = rotary_embeddings_from_config(config).front().at(1);
  CHECK(specification.stream_of == std::vector<std::uint8_t>{0, 0, 1, 1, 1, 2, 2, 2});
  CHECK(specification.rope_type == "default");
}

TEST_CASE("MLA's window is the end of the compressed row", "[rope][rotary_embedding]") {
  const rotary_specification specification =
      rotary_embeddings_from_config(
          two_layers({{"model_type", "deepseek_v3"}, {"kv_lora_rank", 512}, {"qk_rope_head_dim", 64}}))
          .front()
          .at(1);
  CHECK(specification.window_offset == 512);
  CHECK(specification.rotary_dim() == 64);
  CHECK(specification.pairing == rope::pairing::half_split);
}

TEST_CASE("lengths of a length-dependent type are regimes", "[rope][rotary_embedding]") {
  const nlohmann::json dynamic = two_layers({{"rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}}});
  const rotary_embedding embedding = rotary_embeddings_from_config(dynamic).front();
  CHECK(embedding.depends_on_length());
  CHECK(embedding.at(1) == embedding.at(128));
  CHECK_FALSE(embedding.at(128) == embedding.at(129));
}

TEST_CASE("keys of models with a weighted norm after RoPE say so", "[rope][rotary_embedding]") {
  CHECK(rotary_embeddings_from_config(two_layers({{"model_type", "hunyuan_v1_dense"}}))
            .front()
            .at(1)
            .normed_after_rotation);
}

TEST_CASE("a model that turns backwards has frequencies below zero", "[rope][rotary_embedding]") {
  CHECK(rotary_embeddings_from_config(two_layers({{"model_type", "nanochat"}})).front().at(1).inv_freq.front() == -1);
}

TEST_CASE("types and architectures of one's own come in with the knowledge", "[rope][rotary_embedding]") {
  rope::config_knowledge knowledge;
  knowledge.types["still"] = {[](const rope::type_parameters& parameters, std::int64_t) {
    return rope::frequencies{std::vector<float>(static_cast<std::size_t>(parameters.head_dim / 2), 0.0f)};
  }};
  knowledge.architectures["mine"] = {.pairs = rope::pairing::interleaved};
  const nlohmann::json config = two_layers({{"model_type", "mine"}, {"rope_scaling", {{"rope_type", "still"}}}});
  const rotary_specification specification = rotary_embeddings_from_config(config, knowledge).front().at(1);
  CHECK(specification.inv_freq == std::vector<float>(8, 0.0f));
  CHECK(specification.pairing == rope::pairing::interleaved);
}

TEST_CASE("configs that cannot be right are refused when they are read", "[rope][rotary_embedding][misuse]") {
  const auto scaled = [](nlohmann::json parameters) {
    return rotary_embeddings_from_config(two_layers({{"rope_scaling", std::move(parameters)}}));
  };
  CHECK_THROWS_AS(scaled({{"type", "spiral"}}), value_error);
  CHECK_THROWS_AS(scaled({{"type", "linear"}}), value_error);
  CHECK_THROWS_AS(scaled({{"type", "linear"}, {"factor", -2}}), value_error);
  CHECK_THROWS_AS(scaled({{"type", "longrope"}, {"short_factor", {1, 2}}, {"long_factor", {1, 2}}}), shape_error);
  CHECK_THROWS_AS(scaled({{"type", "mrope"}, {"mrope_section", {2, 3, 3}}}), value_error);
  CHECK_THROWS_AS(
      rotary_embeddings_from_config(two_layers(
          {{"model_type", "qwen2_vl_text"}, {"rope_scaling", {{"type", "mrope"}, {"mrope_section", {1e84, 3, 3}}}}})),
      value_error);
  CHECK_THROWS_AS(rotary_embeddings_from_config(two_layers({{"rope_theta", -1.0}})), value_error);
  CHECK_THROWS_AS(rotary_embeddings_from_config(two_layers({{"model_type", "gpt2"}})), value_error);
  CHECK_THROWS_AS(rotary_embeddings_from_config(two_layers({{"model_type", "falcon"}, {"alibi", true}})), value_error);
  CHECK_THROWS_AS(rotary_embeddings_from_config(nlohmann::json::object()), value_error);
}

}  // namespace kvtransfer::test
