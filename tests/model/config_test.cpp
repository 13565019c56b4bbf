#include "kvtransfer/model/config.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "model/transformer_fixture.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::message_of;
using kvtransfer::test::model_fixtures;
using kvtransfer::test::temporary_folder;

namespace {

/// The least that describes a model.
nlohmann::json least_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"num_hidden_layers", 2},
          {"hidden_size", 32},
          {"intermediate_size", 64},
          {"vocab_size", 97},
          {"num_attention_heads", 4}};
}

std::string complaint_with(std::string_view key, const nlohmann::json& value) {
  nlohmann::json config = least_config();
  config[std::string(key)] = value;
  return message_of<file_error>([&] { return model_config_from_json(config, "config.json"); });
}

}  // namespace

TEST_CASE("keys that a config.json leaves out take transformers' values", "[model][config]") {
  const model_config config = model_config_from_json(least_config());
  CHECK(config.kv_heads == 4);
  CHECK(config.head_dim == 8);
  CHECK(config.max_position_embeddings == 2048);
  CHECK(config.rms_norm_eps == 1e-6);
  CHECK_FALSE(config.tie_word_embeddings);
  CHECK_FALSE(config.qkv_bias);
  CHECK_FALSE(config.output_bias);
  CHECK_FALSE(config.mlp_bias);
  REQUIRE(config.attention.size() == 2);
  CHECK((config.attention[1] == attention_specification{.scale = 1 / std::sqrt(8.0)}));
  CHECK(config.bos_token_id == 1);
  CHECK(config.eos_token_ids.empty());
  REQUIRE(config.rotary.size() == 2);
  const rotary_specification rotary = config.rotary[0].at(1);
  CHECK(rotary.inv_freq.size() == 4);
  CHECK(rotary.inv_freq[0] == 1.0f);
}

TEST_CASE("both spellings of the rotary parameters give the same frequencies", "[model][config]") {
  nlohmann::json old_spelling = least_config();
  old_spelling["rope_theta"] = 500000.0;
  old_spelling["rope_scaling"] = nullptr;
  nlohmann::json new_spelling = least_config();
  new_spelling["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500000.0}};
  const auto frequencies = [](const nlohmann::json& json) {
    return model_config_from_json(json).rotary[1].at(1).inv_freq;
  };
  CHECK(frequencies(old_spelling) == frequencies(new_spelling));
  CHECK(frequencies(old_spelling) != frequencies(least_config()));
}

TEST_CASE("folders that transformers wrote are read, whatever their shape", "[model][config]") {
  const model_config wide = read_model_config(model_fixtures() / "wide-heads-bf16-sharded");
  CHECK(wide.head_dim == 32);
  CHECK(wide.q_heads == 2);
  CHECK(wide.kv_heads == 1);
  CHECK(wide.hidden_size == 32);
  const model_config biased = read_model_config(model_fixtures() / "mha-biased-fp16" / "config.json");
  CHECK(biased.qkv_bias);
  CHECK(biased.output_bias);
  CHECK(biased.mlp_bias);
  CHECK(read_model_config(model_fixtures() / "gqa-tied-fp32").tie_word_embeddings);
  CHECK(read_model_config(model_fixtures() / "llama3-scaled-fp32").rotary[0].rope_type() == "llama3");
  CHECK(read_model_config(model_fixtures() / "mistral-fp16").architecture == "MistralForCausalLM");
}

TEST_CASE("the tokens that end a generation come from generation_config.json where it names some", "[model][config]") {
  const temporary_folder folder;
  nlohmann::json config = least_config();
  config["eos_token_id"] = 5;
  folder.put("config.json", config.dump());
  CHECK(read_model_config(folder.path()).eos_token_ids == std::vector<std::int64_t>{5});
  folder.put("generation_config.json", R"({"eos_token_id": [6, 7]})");
  CHECK(read_model_config(folder.path()).eos_token_ids == std::vector<std::int64_t>{6, 7});
}

TEST_CASE("a null token id means that there is no such token", "[model][config]") {
  nlohmann::json json = least_config();
  json["bos_token_id"] = nullptr;
  json["eos_token_id"] = nullptr;
  const model_config config = model_config_from_json(json);
  CHECK_FALSE(config.bos_token_id);
  CHECK(config.eos_token_ids.empty());
}

TEST_CASE("a missing size is refused by its key", "[model][config]") {
  for (const char* key :
       {"num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size", "num_attention_heads"}) {
    nlohmann::json config = least_config();
    config.erase(key);
    CHECK_THAT(message_of<file_error>([&] { return model_config_from_json(config, "config.json"); }),
               test::StartsWith("config.json: " + std::string(key) + ": expected an integer from 1 to") &&
                   test::EndsWith("got nothing"));
  }
}

TEST_CASE("an architecture that computes something else is refused, with the list of those that do not",
          "[model][config]") {
  CHECK(complaint_with("architectures", {"GPT2LMHeadModel"}) ==
        "config.json: architectures: expected one of LlamaForCausalLM (llama), MistralForCausalLM (mistral), "
        "Qwen2ForCausalLM (qwen2), Qwen3ForCausalLM (qwen3), Phi3ForCausalLM (phi3), Gemma2ForCausalLM (gemma2), "
        "Gemma3ForCausalLM (gemma3_text), Gemma3ForConditionalGeneration (gemma3), SmolLM3ForCausalLM (smollm3), "
        "got [\"GPT2LMHeadModel\"]");
  CHECK_THAT(complaint_with("architectures", nullptr), test::Equals(""));
  CHECK_THAT(complaint_with("architectures", "LlamaForCausalLM"), test::contains("architectures: expected"));
  CHECK_THAT(complaint_with("model_type", "qwen2"), test::contains("architectures: expected"));
  nlohmann::json nameless = least_config();
  nameless.erase("architectures");
  nameless.erase("model_type");
  CHECK_THAT(message_of<file_error>([&] { return model_config_from_json(nameless, "config.json"); }),
             test::contains("model_type: expected one of LlamaForCausalLM (llama)") && test::contains("got nothing"));
}

TEST_CASE("values that do not fit together or change the arithmetic are refused", "[model][config]") {
  CHECK_THAT(complaint_with("num_key_value_heads", 3), test::contains("a divisor of num_attention_heads = 4, got 3"));
  CHECK_THAT(complaint_with("hidden_size", 33), test::contains("a divisor of hidden_size = 33"));
  CHECK_THAT(complaint_with("hidden_act", "relu"),
             test::contains(R"(hidden_act: expected silu, gelu or gelu_pytorch_tanh, got "relu")"));
  CHECK_THAT(complaint_with("quantization_config", {{"bits", 4}}), test::contains("a model that is not quantized"));
  CHECK_THAT(complaint_with("num_hidden_layers", 1000000), test::contains("from 1 to 10000, got 1000000"));
  CHECK_THAT(complaint_with("rms_norm_eps", 0), test::contains("rms_norm_eps: expected a number above zero, got 0"));
  CHECK_THAT(complaint_with("rope_scaling", {{"rope_type", "spiral"}}), test::StartsWith("config.json: "));
  CHECK_THAT(complaint_with("rope_theta", "high"), test::StartsWith("config.json: "));
}

TEST_CASE("heads that are not rotated as a whole, or of a width that no pairs make up, are refused",
          "[model][config]") {
  CHECK_THAT(complaint_with("rope_scaling", {{"rope_type", "linear"}, {"factor", 2}, {"partial_rotary_factor", 0.5}}),
             test::contains("partial_rotary_factor: expected 1: the model rotates whole heads, got 0.5"));
  CHECK_THAT(complaint_with("head_dim", 7), test::contains("head_dim: expected an even number"));
  CHECK_THAT(complaint_with("head_dim", 1000000), test::contains("head_dim: expected an integer from 1 to 65536"));
}

TEST_CASE("a key that this architecture does not know is refused by name, unless it is off or decides on nothing",
          "[model][config]") {
  CHECK(complaint_with("logit_scale", 0.25) ==
        "config.json: logit_scale: expected only keys whose meaning for LlamaForCausalLM is known, got 0.25");
  for (const char* key : {"attn_logit_softcapping", "query_pre_attn_scalar", "num_local_experts", "qk_rope_head_dim",
                          "embedding_multiplier", "sliding_window"}) {
    CHECK_THAT(complaint_with(key, 4), test::StartsWith("config.json: " + std::string(key)));
  }
  CHECK_THAT(complaint_with("layer_types", {"sliding_attention", "full_attention"}), test::contains("layer_types"));
  CHECK_THAT(complaint_with("use_mrope", true), test::contains("use_mrope"));
  CHECK_THAT(complaint_with("text_config", {{"hidden_size", 1}}), test::contains("text_config"));
  CHECK(complaint_with("use_mrope", false).empty());
  CHECK(complaint_with("sliding_window", nullptr).empty());
  CHECK(complaint_with("attention_dropout", 0.1).empty());
  CHECK(complaint_with("transformers_version", "4.46.0").empty());
  CHECK(complaint_with("_attn_implementation_autoset", true).empty());
  CHECK(complaint_with("partial_rotary_factor", 0.5).empty());  // transformers' Llama rotates whole heads all the same
}

namespace {

using windows = std::vector<std::int64_t>;

/// The windows of a model of four layers of `type`, with more keys; 0 for a layer without.
windows windows_of(const std::string& architecture, const std::string& type, const nlohmann::json& more) {
  nlohmann::json json = least_config();
  json["architectures"] = {architecture};
  json["model_type"] = type;
  json["num_hidden_layers"] = 4;
  json["num_key_value_heads"] = 4;
  json.update(more);
  windows found;
  for (const attention_specification& layer : model_config_from_json(json).attention) {
    found.push_back(layer.window.value_or(0));
  }
  return found;
}

}  // namespace

TEST_CASE("each architecture's windows lie on the layers that transformers gives them", "[model][config]") {
  constexpr std::int64_t none = 0;
  CHECK(windows_of("MistralForCausalLM", "mistral", nlohmann::json::object()) == windows(4, 4096));
  CHECK(windows_of("MistralForCausalLM", "mistral", {{"sliding_window", nullptr}}) == windows(4, none));
  CHECK(windows_of("Phi3ForCausalLM", "phi3", nlohmann::json::object()) == windows(4, none));
  CHECK(windows_of("Phi3ForCausalLM", "phi3", {{"sliding_window", 2047}}) == windows(4, 2047));
  for (const auto& [name, type] : {std::pair("Qwen2ForCausalLM", "qwen2"), std::pair("Qwen3ForCausalLM", "qwen3")}) {
    CHECK(windows_of(name, type, {{"sliding_window", 9}}) == windows(4, none));
    CHECK(windows_of(name, type, {{"sliding_window", 9}, {"use_sliding_window", true}}) == windows(4, none));
    CHECK(windows_of(name, type, {{"sliding_window", 9}, {"use_sliding_window", true}, {"max_window_layers", 3}}) ==
          windows{none, none, none, 9});
  }
  CHECK(windows_of("Gemma2ForCausalLM", "gemma2", nlohmann::json::object()) == windows{4096, none, 4096, none});
  CHECK(windows_of("Gemma3ForCausalLM", "gemma3_text", {{"sliding_window", 5}, {"sliding_window_pattern", 3}}) ==
        windows{5, 5, none, 5});
  CHECK(windows_of("SmolLM3ForCausalLM", "smollm3", nlohmann::json::object()) == windows(4, none));
  CHECK(windows_of("SmolLM3ForCausalLM", "smollm3", {{"sliding_window", 5}, {"use_sliding_window", true}}) ==
        windows{none, none, none, 5});
  const nlohmann::json listed = {
      {"layer_types", {"full_attention", "sliding_attention", "full_attention", "full_attention"}},
      {"sliding_window", 6}};
  CHECK(windows_of("Gemma2ForCausalLM", "gemma2", listed) == windows{none, 6, none, none});
  CHECK_THROWS_AS(windows_of("Qwen2ForCausalLM", "qwen2", listed), file_error);  // and use_sliding_window is off
  CHECK_THROWS_AS(windows_of("Gemma2ForCausalLM", "gemma2", {{"layer_types", {"full_attention"}}}), file_error);
  CHECK_THROWS_AS(windows_of("Gemma2ForCausalLM", "gemma2", {{"sliding_window", nullptr}}), file_error);
  const nlohmann::json twice = {{"sliding_window", 6}, {"sliding_window_size", 6}};  // as Gemma 2 9B's file
  CHECK(windows_of("Gemma2ForCausalLM", "gemma2", twice) == windows{6, none, 6, none});
  CHECK_THROWS_AS(windows_of("Gemma2ForCausalLM", "gemma2", {{"sliding_window", 6}, {"sliding_window_size", 7}}),
                  file_error);
  CHECK_THROWS_AS(windows_of("Gemma2ForCausalLM", "gemma2", {{"use_bidirectional_attention", true}}), file_error);
}

TEST_CASE("Gemma 3 that sees images is read by its text part, whose sizes may be left out", "[model][config]") {
  const nlohmann::json published = {{"architectures", {"Gemma3ForConditionalGeneration"}},
                                    {"model_type", "gemma3"},
                                    {"eos_token_id", {1, 106}},
                                    {"image_token_index", 262144},
                                    {"mm_tokens_per_image", 256},
                                    {"vision_config", {{"hidden_size", 1152}}},
                                    {"text_config",
                                     {{"hidden_size", 2560},
                                      {"intermediate_size", 10240},
                                      {"model_type", "gemma3_text"},
                                      {"num_hidden_layers", 34},
                                      {"rope_scaling", {{"factor", 8.0}, {"rope_type", "linear"}}},
                                      {"sliding_window", 1024}}}};
  const model_config config = model_config_from_json(published);
  CHECK(config.architecture == "Gemma3ForCausalLM");
  CHECK(config.q_heads == 8);
  CHECK(config.kv_heads == 4);
  CHECK(config.head_dim == 256);
  CHECK(config.vocab_size == 262208);
  CHECK(config.tie_word_embeddings);
  CHECK(config.eos_token_ids == std::vector<std::int64_t>{1, 106});
  CHECK(config.rotary[5].rope_type() == "linear");
  CHECK(config.rotary[4].rope_type() == "default");
  CHECK_FALSE(config.attention[5].window.has_value());
  CHECK(config.attention[4].window.value_or(0) == 1024);
  nlohmann::json without = published;
  without.erase("text_config");
  CHECK_THAT(message_of<file_error>([&] { return model_config_from_json(without, "config.json"); }),
             test::contains("config.json: text_config: expected an object"));
}

TEST_CASE("a folder without a config.json, or with a broken one, is refused by name", "[model][config]") {
  const temporary_folder folder;
  CHECK(message_of<file_error>([&] { return read_model_config(folder.path()); }) ==
        (folder.path() / "config.json").string() + ": file: expected an existing file, got none");
  folder.put("config.json", "{");
  CHECK_THAT(message_of<file_error>([&] { return read_model_config(folder.path()); }),
             test::contains("config.json: JSON: expected valid JSON"));
}
