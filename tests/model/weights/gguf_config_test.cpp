#include "kvtransfer/model/weights/gguf_config.hpp"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "model/weights/gguf_bytes.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::gguf_bytes;
using kvtransfer::test::gguf_fixtures;
using kvtransfer::test::raw;
using kvtransfer::test::raw_text;

namespace {

/// What a llama file must say, and one tensor.
gguf_bytes smallest_llama(const std::string& architecture = "llama") {
  gguf_bytes file;
  file.text("general.architecture", architecture);
  const auto key = [&](const char* name) { return architecture + "." + name; };
  file.u32(key("block_count"), 2).u32(key("context_length"), 64).u32(key("embedding_length"), 8);
  file.u32(key("feed_forward_length"), 12).u32(key("attention.head_count"), 2);
  file.f32(key("attention.layer_norm_rms_epsilon"), 1e-6F);
  return file.floats("token_embd.weight", {8, 5}, std::string(160, 0));
}

nlohmann::json config_of(const gguf_bytes& bytes) {
  const test::temporary_folder folder;
  return gguf_config(gguf_file::open(folder.put("x.gguf", bytes.bytes())));
}

/// What is complained about, without the file's name.
std::string config_complaint(const gguf_bytes& bytes) {
  const std::string complaint = test::message_of<file_error>([&] { config_of(bytes); });
  return complaint.substr(std::min(complaint.find(".gguf: ") + 7, complaint.size()));
}

std::string floats(const std::vector<float>& numbers) {
  std::string bytes;
  for (const float number : numbers) {
    bytes += raw(number);
  }
  return bytes;
}

/// All the frequencies that two configurations ask for are the same, before and behind the original length.
void check_same_rotation(const nlohmann::json& a, const nlohmann::json& b) {
  const auto ours = rotary_embeddings_from_config(a);
  const auto theirs = rotary_embeddings_from_config(b);
  REQUIRE(ours.size() == theirs.size());
  for (std::size_t layer = 0; layer < ours.size(); ++layer) {
    CAPTURE(layer);
    for (const std::int64_t length : {1, 10'000'000}) {
      CHECK(ours[layer].at(length) == theirs[layer].at(length));
    }
  }
}

}  // namespace

TEST_CASE("a GGUF file of each architecture gives the configuration it was made from", "[model][gguf]") {
  const nlohmann::json configs = read_json_object(gguf_fixtures() + "configs.json");
  CHECK(configs.size() == 7);
  for (const auto& [name, expected] : configs.items()) {
    CAPTURE(name);
    const nlohmann::json config = gguf_config(gguf_file::open(gguf_fixtures() + name + ".gguf"));
    for (const auto& [key, value] : expected.items()) {
      if (key != "rope_parameters") {
        CAPTURE(key);
        CHECK(config.value(key, nlohmann::json("no such key")) == value);
      }
    }
    check_same_rotation(config, expected);
  }
}

TEST_CASE("Llama 3's divisors read as the parameters they were made from, others as they are", "[model][gguf]") {
  const nlohmann::json llama3 = gguf_config(gguf_file::open(gguf_fixtures() + "llama.gguf"));
  CHECK(llama3["rope_scaling"]["rope_type"] == "llama3");
  CHECK(llama3["rope_scaling"]["factor"] == 8);

  const nlohmann::json other = config_of(smallest_llama().floats("rope_freqs.weight", {2}, floats({1, 2.5F})));
  CHECK(other["rope_scaling"]["rope_type"] == "longrope");
  const rotary_specification plain = rotary_embeddings_from_config(config_of(smallest_llama())).at(0).at(1);
  const rotary_specification divided = rotary_embeddings_from_config(other).at(0).at(1);
  CHECK(divided.attention_scaling == 1);
  CHECK(divided.inv_freq.at(0) == plain.inv_freq.at(0));
  CHECK(divided.inv_freq.at(1) == test::Approx(plain.inv_freq.at(1) / 2.5F));

  CHECK_THAT(config_complaint(smallest_llama().floats("rope_freqs.weight", {3}, floats({1, 1, 1}))),
             test::StartsWith("tensor \"rope_freqs.weight\": shape: expected [2], got [3]"));
  CHECK_THAT(config_complaint(smallest_llama().floats("rope_freqs.weight", {2}, floats({1, 0}))),
             test::StartsWith("tensor \"rope_freqs.weight\": expected positive numbers, got 0"));
}

TEST_CASE("what a GGUF file leaves out has llama.cpp's value", "[model][gguf]") {
  const nlohmann::json config = config_of(smallest_llama());
  CHECK(config["num_key_value_heads"] == 2);
  CHECK(config["head_dim"] == 4);
  CHECK(config["vocab_size"] == 5);
  CHECK(config["rope_theta"] == 1e4);
  CHECK(config["tie_word_embeddings"] == true);
  CHECK(config["attention_bias"] == false);
  CHECK(config["bos_token_id"].is_null());
  CHECK(config["eos_token_id"].is_null());
  CHECK_FALSE(config.contains("rope_scaling"));
}

TEST_CASE("a Mistral file's window makes it a Mistral, unless it never bites", "[model][gguf]") {
  const nlohmann::json mistral = config_of(smallest_llama().u32("llama.attention.sliding_window", 63));
  CHECK(mistral["model_type"] == "mistral");
  CHECK(mistral["architectures"] == nlohmann::json{"MistralForCausalLM"});
  CHECK(mistral["sliding_window"] == 63);
  CHECK(config_of(smallest_llama().u32("llama.attention.sliding_window", 64))["model_type"] == "llama");
  CHECK(config_complaint(smallest_llama("qwen2").u32("qwen2.attention.sliding_window", 63)) ==
        "\"qwen2.attention.sliding_window\": expected no window, or one as long as context_length, got 63 (uint32)");
}

TEST_CASE("every token that a GGUF file says ends a turn ends a generation", "[model][gguf]") {
  gguf_bytes file = smallest_llama();
  file.u32("tokenizer.ggml.bos_token_id", 0).u32("tokenizer.ggml.eos_token_id", 3);
  CHECK(config_of(file)["eos_token_id"] == 3);
  file.u32("tokenizer.ggml.eot_token_id", 4);
  CHECK(config_of(file)["eos_token_id"] == nlohmann::json{3, 4});
  CHECK(config_of(file)["bos_token_id"] == 0);
  CHECK(config_complaint(file.u32("tokenizer.ggml.eom_token_id", 5)) ==
        "\"tokenizer.ggml.eom_token_id\": expected a token id below 5, got 5 (uint32)");
}

TEST_CASE("the end of a turn that no key of a GGUF file names is known by its text", "[model][gguf]") {
  const auto with_tokens = [](std::string_view third) {
    gguf_bytes file = smallest_llama();
    const std::string tokens = raw_text("<s>") + raw_text("a") + raw_text("<|end|>") + raw_text(third) +
                               raw_text("</s>") + raw_text("<|eot_id|>");  // the last has no row in the embedding
    constexpr std::uint32_t text = 8;
    return file.array("tokenizer.ggml.tokens", text, 6, tokens).u32("tokenizer.ggml.eos_token_id", 4);
  };
  CHECK(config_of(with_tokens("b"))["eos_token_id"] == nlohmann::json{4, 2});
  CHECK(config_of(with_tokens("<end_of_turn>"))["eos_token_id"] == nlohmann::json{4, 2, 3});
  CHECK(config_of(with_tokens("b").u32("tokenizer.ggml.eot_token_id", 1))["eos_token_id"] == nlohmann::json{4, 1});
}

TEST_CASE("sizes listed layer by layer are read where they agree", "[model][gguf]") {
  const auto listed = [](std::uint32_t first, std::uint32_t second) {
    return smallest_llama().array("llama.attention.head_count_kv", 4, 2, raw(first) + raw(second));
  };
  CHECK(config_of(listed(1, 1))["num_key_value_heads"] == 1);
  CHECK(config_complaint(listed(1, 2)) ==
        "\"llama.attention.head_count_kv\": expected an integer from 1 to 2147483647, the same for all layers, got an "
        "array of 2 x uint32");
}

TEST_CASE("linear and YaRN scaling are read, other scalings and their variants refused by name", "[model][gguf]") {
  const nlohmann::json linear = {{"rope_type", "linear"}, {"factor", 4.0}};
  CHECK(config_of(smallest_llama().f32("llama.rope.scaling.factor", 4))["rope_scaling"] == linear);
  CHECK(config_of(smallest_llama().f32("llama.rope.scale_linear", 4))["rope_scaling"] == linear);
  CHECK_FALSE(config_of(smallest_llama().text("llama.rope.scaling.type", "none")).contains("rope_scaling"));

  gguf_bytes yarn = smallest_llama();
  yarn.text("llama.rope.scaling.type", "yarn").f32("llama.rope.scaling.factor", 4);
  CHECK_THAT(config_complaint(yarn), test::contains("original_context_length\": expected an integer from 1"));
  yarn.u32("llama.rope.scaling.original_context_length", 16).f32("llama.rope.scaling.yarn_beta_fast", 16);
  CHECK(config_of(yarn)["rope_scaling"] ==
        nlohmann::json{
            {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 16}, {"beta_fast", 16.0}});
  for (const char* key : {"attn_factor", "yarn_attn_factor", "yarn_ext_factor", "yarn_log_multiplier"}) {
    gguf_bytes variant = yarn;
    CHECK_THAT(config_complaint(variant.f32(std::string("llama.rope.scaling.") + key, 1.5F)),
               test::StartsWith(std::string("\"llama.rope.scaling.") + key + "\": expected no such key, or"));
  }
  CHECK(config_complaint(smallest_llama().text("llama.rope.scaling.type", "longrope")) ==
        "\"llama.rope.scaling.type\": expected none, linear or yarn, got \"longrope\"");
}

TEST_CASE("an unknown architecture, or something that is no model, is refused by name", "[model][gguf]") {
  CHECK(config_complaint(smallest_llama("mamba")) ==
        "\"general.architecture\": expected one of llama, qwen2, qwen3, gemma2, gemma3, phi3, smollm3, got \"mamba\"");
  CHECK(
      config_complaint(gguf_bytes()) ==
      "\"general.architecture\": expected one of llama, qwen2, qwen3, gemma2, gemma3, phi3, smollm3, got no such key");
  CHECK(config_complaint(smallest_llama().text("general.type", "adapter")) ==
        "\"general.type\": expected \"model\", got \"adapter\"");
}

TEST_CASE("a GGUF key that would change what the model computes is refused by name", "[model][gguf]") {
  CHECK(config_complaint(smallest_llama().u32("llama.expert_count", 8)) ==
        "\"llama.expert_count\": expected no such key, or 0, got 8 (uint32)");
  CHECK(config_complaint(smallest_llama().f32("llama.attention.max_alibi_bias", 8)) ==
        "\"llama.attention.max_alibi_bias\": expected no such key, or 0, got 8 (float32)");
  CHECK(config_complaint(smallest_llama().boolean("llama.attention.causal", false)) ==
        "\"llama.attention.causal\": expected no such key, or 1, got false");
  CHECK(config_complaint(smallest_llama().f32("llama.attention.scale", 0.5F)) ==
        "\"llama.attention.scale\": expected only keys whose meaning is known, got 0.5 (float32)");
  CHECK(config_complaint(smallest_llama().f32("llama.final_logit_softcapping", 30)) ==
        "\"llama.final_logit_softcapping\": expected only keys whose meaning is known, got 30 (float32)");
  CHECK(config_complaint(smallest_llama().array("llama.rope.dimension_sections", 5, 0, "")) ==
        "\"llama.rope.dimension_sections\": expected only keys whose meaning is known, got an array of 0 x int32");
  CHECK(
      config_complaint(smallest_llama().u32("llama.expert_count", 0).boolean("llama.attention.causal", true)).empty());
  CHECK(config_complaint(smallest_llama().u32("qwen2.expert_count", 8)).empty());  // another architecture's
}

TEST_CASE("GGUF sizes that are missing, contradictory or beyond reason are refused by name", "[model][gguf]") {
  CHECK(
      config_complaint(gguf_bytes().text("general.architecture", "llama")) ==
      "\"llama.embedding_length\": expected an integer from 1 to 2147483647, the same for all layers, got no such key");
  CHECK(config_complaint(smallest_llama().u32("llama.vocab_size", 6)) ==
        "\"llama.vocab_size\": expected 5, the rows of token_embd.weight, got 6 (uint32)");
  CHECK(
      config_complaint(smallest_llama().u32("llama.attention.key_length", 4).u32("llama.attention.value_length", 6)) ==
      "\"llama.attention.value_length\": expected 4, the width of a key, got 6 (uint32)");
  CHECK(config_complaint(smallest_llama().u32("llama.attention.key_length", 3)) ==
        "\"llama.attention.key_length\": expected an even number, got 3 (uint32)");
  CHECK(config_complaint(smallest_llama().u32("llama.attention.head_count_kv", 3)) ==
        "\"llama.attention.head_count_kv\": expected a divisor of head_count = 2, got 3 (uint32)");
  CHECK(config_complaint(smallest_llama().u32("llama.rope.dimension_count", 2)) ==
        "\"llama.rope.dimension_count\": expected 4, the width of a head, got 2 (uint32)");
  CHECK(config_complaint(smallest_llama().f32("llama.rope.freq_base", -1)) ==
        "\"llama.rope.freq_base\": expected a positive number, got -1 (float32)");
  gguf_bytes deep;
  deep.text("general.architecture", "llama").u32("llama.embedding_length", 8).u32("llama.attention.head_count", 2);
  deep.u32("llama.block_count", 10'001).floats("token_embd.weight", {8, 5}, std::string(160, 0));
  CHECK_THAT(config_complaint(deep), test::StartsWith("\"llama.block_count\": expected an integer from 1 to 10000"));
}

TEST_CASE("Gemma's layers take turns as the file lists them, or in their usual period", "[model][gguf]") {
  gguf_bytes file = smallest_llama("gemma2");
  file.u32("gemma2.attention.sliding_window", 8);
  CHECK(config_of(file)["layer_types"] == nlohmann::json{"sliding_attention", "full_attention"});
  CHECK(config_of(file)["attn_logit_softcapping"] == 50);
  gguf_bytes listed = file;
  listed.array("gemma2.attention.sliding_window_pattern", 7, 2, std::string("\0\1", 2));
  CHECK(config_of(listed)["layer_types"] == nlohmann::json{"full_attention", "sliding_attention"});
  gguf_bytes longer = file;
  longer.array("gemma2.attention.sliding_window_pattern", 7, 3, std::string("\0\1\1", 3));
  CHECK(config_complaint(longer) ==
        "\"gemma2.attention.sliding_window_pattern\": expected one boolean for each of 2 layers, got an array of 3 x "
        "bool");
  CHECK(config_of(file.u32("gemma2.attention.sliding_window_pattern", 1))["layer_types"] ==
        nlohmann::json{"full_attention", "full_attention"});
}
