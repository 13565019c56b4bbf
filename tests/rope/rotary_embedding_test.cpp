#include "kvtransfer/rope/rotary_embedding.hpp"

#include <nlohmann/json.hpp>

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

TEST_CASE("an engine's latent rows are read in the engine's own pairing", "[rope][rotary_embedding]") {
  const auto pairing_of = [](const char* model_type, rope::cache_writer writer) {
    const rope::config_knowledge knowledge{.writer = writer};
    const nlohmann::json config = two_layers({{"model_type", model_type}, {"kv_lora_rank", 512}});
    return rotary_embeddings_from_config(config, knowledge).front().at(1).pairing;
  };
  CHECK(pairing_of("deepseek_v3", rope::cache_writer::transformers) == rope::pairing::half_split);
  CHECK(pairing_of("deepseek_v3", rope::cache_writer::vllm) == rope::pairing::interleaved);
  CHECK(pairing_of("deepseek_v2", rope::cache_writer::vllm) == rope::pairing::interleaved);
  CHECK(pairing_of("minicpm3", rope::cache_writer::vllm) == rope::pairing::half_split);
  CHECK(pairing_of("llama", rope::cache_writer::vllm) == rope::pairing::half_split);
}

TEST_CASE("Phi-3.5-MoE scales attention by what the config gives for short and for long texts",
          "[rope][rotary_embedding]") {
  const std::vector<double> divisors(8, 2.0);
  const nlohmann::json scaling = {{"type", "longrope"},      {"short_factor", divisors},
                                  {"long_factor", divisors}, {"short_mscale", 1.1},
                                  {"long_mscale", 1.3},      {"original_max_position_embeddings", 64}};
  const nlohmann::json config = two_layers({{"model_type", "phimoe"}, {"rope_scaling", scaling}});
  const rotary_embedding embedding = rotary_embeddings_from_config(config).front();
  CHECK(embedding.at(64).attention_scaling == 1.1);
  CHECK(embedding.at(65).attention_scaling == 1.3);
  CHECK(embedding.depends_on_length());
}

TEST_CASE("null parameters of a layer type and a base of 0 say that a layer carries no RoPE",
          "[rope][rotary_embedding]") {
  const nlohmann::json nest = {{"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 1e4}}},
                               {"full_attention", nullptr}};
  const auto beam = rotary_embeddings_from_config(two_layers(
      {{"model_type", "beam"}, {"layer_types", {"sliding_attention", "full_attention"}}, {"rope_parameters", nest}}));
  CHECK(beam[0].rotates());
  CHECK_FALSE(beam[1].rotates());
  const auto granite =
      rotary_embeddings_from_config(two_layers({{"model_type", "granite_swa"}, {"layer_rope_theta", {5e5, 0}}}));
  CHECK(granite[0].parameters().theta() == 5e5);
  CHECK_FALSE(granite[1].rotates());
  CHECK_THROWS_AS(rotary_embeddings_from_config(two_layers({{"model_type", "laguna"},
                                                            {"layer_types", {"sliding_attention", "full_attention"}},
                                                            {"rope_parameters", nest}})),
                  value_error);
}

TEST_CASE("a model type that is not known is refused unless the caller names its conventions",
          "[rope][rotary_embedding]") {
  const nlohmann::json config = two_layers({{"model_type", "someones_own"}});
  CHECK_THROWS_AS(rotary_embeddings_from_config(config), value_error);
  rope::config_knowledge knowledge;
  knowledge.conventions = rope::architecture{.pairs = rope::pairing::interleaved, .theta = 5e5};
  const rotary_embedding embedding = rotary_embeddings_from_config(config, knowledge).front();
  CHECK(embedding.at(1).pairing == rope::pairing::interleaved);
  CHECK(embedding.parameters().theta() == 5e5);
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
  const auto still = [](const rope::type_parameters& parameters, std::int64_t) {
    return rope::frequencies{std::vector<float>(static_cast<std::size_t>(parameters.head_dim / 2), 0.0f)};
  };
  knowledge.types.add("still", {still});
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
  CHECK_THROWS_AS(rotary_embeddings_from_config(two_layers({{"rotary", {{"type", "dynamic"}}}})), value_error);
  CHECK_THROWS_AS(rotary_embeddings_from_config(two_layers({{"position_embedding_type", "alibi"}})), value_error);
  CHECK_THROWS_AS(rotary_embeddings_from_config(nlohmann::json::object()), value_error);
}

}  // namespace kvtransfer::test
