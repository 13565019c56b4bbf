#include "kvtransfer/rope/detail/config_layers.hpp"

#include <nlohmann/json.hpp>

#include "kvtransfer/rope/detail/builtin_architectures.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

/// Which layers rotate, as a string of 1 and 0.
std::string rotating(const nlohmann::json& fields, const char* model_type) {
  const rope::detail::config_reader config(fields, "config");
  const rope::architecture model = rope::architecture_of(rope::builtin_architectures(), model_type);
  const std::vector<std::string> types = rope::detail::layer_types(config, model);
  std::string rotates;
  for (std::int64_t layer = 0; layer < rope::detail::layer_count(config, model); ++layer) {
    const std::string type = types.empty() ? "" : types[static_cast<std::size_t>(layer)];
    rotates += rope::detail::layer_rotates(config, model, layer, type) ? '1' : '0';
  }
  return rotates;
}

}  // namespace

TEST_CASE("layers without RoPE are the ones a model leaves out", "[rope][config_layers]") {
  CHECK(rotating({{"num_hidden_layers", 5}}, "llama") == "11111");
  CHECK(rotating({{"num_hidden_layers", 5}}, "smollm3") == "11101");
  CHECK(rotating({{"num_hidden_layers", 5}, {"no_rope_layer_interval", 2}}, "llama4_text") == "10101");
  CHECK(rotating({{"num_hidden_layers", 3}, {"no_rope_layers", {0, 1, 0}}}, "smollm3") == "010");
  CHECK(rotating({{"num_hidden_layers", 4}, {"no_rope_layers", nlohmann::json::array()}}, "llama4_text") == "1110");
  CHECK(rotating({{"num_hidden_layers", 5}}, "cohere2") == "11101");
  CHECK(rotating({{"num_hidden_layers", 4}, {"sliding_window_pattern", 2}}, "cohere2") == "1010");
  CHECK(rotating({{"num_hidden_layers", 4}, {"sliding_window_pattern", "LLLG"}}, "exaone4") == "1110");
  CHECK(rotating({{"num_hidden_layers", 4}, {"sliding_window", nullptr}}, "exaone4") == "1111");
  CHECK(rotating({{"num_hidden_layers", 4}, {"sliding_window", nullptr}}, "afmoe") == "1110");
  CHECK(rotating({{"num_hidden_layers", 7}}, "flint") == "0011100");
  CHECK(rotating({{"num_hidden_layers", 6}}, "kolibri1") == "111101");
  CHECK(rotating({{"num_hidden_layers", 2}}, "jamba") == "00");
  CHECK(rotating({{"layers_block_type", {"mamba", "moe", "attention"}}}, "nemotron_h") == "000");
  CHECK(rotating({{"num_layers", 2}}, "longcat_flash") == "1111");         // two attentions a layer, each with a cache
  CHECK(rotating({{"num_hidden_layers", 4}}, "longcat_flash") == "1111");  // as transformers counts
  CHECK(rotating({{"num_hidden_layers", 5}}, "qwen3_next") == "00010");
  CHECK(rotating({{"num_hidden_layers", 2}, {"position_embedding_type", "nope"}}, "granitemoehybrid") == "00");
  CHECK(rotating({{"num_hidden_layers", 2}}, "granitemoehybrid") == "00");
  CHECK(
      rotating({{"num_hidden_layers", 2}, {"position_embedding_type", "rope"}, {"layer_types", {"mamba", "attention"}}},
               "granitemoehybrid") == "01");
  CHECK(rotating({{"num_hidden_layers", 2}, {"layer_types", {"full_attention", "sliding_attention"}}}, "exaone4") ==
        "01");
}

TEST_CASE("full and sliding layers alternate in the model's own period", "[rope][config_layers]") {
  const auto types = [](const nlohmann::json& fields, const char* model_type) {
    std::string initials;
    const rope::detail::config_reader config(fields, "config");
    for (const std::string& type :
         rope::detail::layer_types(config, rope::architecture_of(rope::builtin_architectures(), model_type))) {
      initials += type[0];
    }
    return initials;
  };
  CHECK(types({{"num_hidden_layers", 7}}, "gemma3_text") == "sssssfs");
  CHECK(types({{"num_hidden_layers", 4}, {"sliding_window_pattern", 2}}, "gemma3_text") == "sfsf");
  CHECK(types({{"num_hidden_layers", 5}}, "modernbert") == "fssfs");
  CHECK(types({{"num_hidden_layers", 4}, {"global_attn_every_n_layers", 2}}, "modernbert") == "fsfs");
  CHECK(types({{"num_hidden_layers", 8}}, "mimo_v2_flash") == "fssssfss");
  CHECK(types({{"num_hidden_layers", 8}}, "beam") == "sssssfsf");
  CHECK(types({{"num_hidden_layers", 4}, {"attn_layer_indices", {1, 3}}}, "bamba") == "lflf");
  CHECK(types({{"num_hidden_layers", 3}, {"full_attn_idxs", {2}}}, "lfm2") == "ccf");
  CHECK(types({{"num_hidden_layers", 4}}, "llama").empty());
}

TEST_CASE("lists that are no list of the model's layers are refused", "[rope][config_layers][misuse]") {
  CHECK_THROWS_AS(rotating({{"num_hidden_layers", 2}, {"no_rope_layers", {1e300, 0}}}, "smollm3"), value_error);
  CHECK_THROWS_AS(rotating({{"num_hidden_layers", 3}, {"no_rope_layers", {1, 0}}}, "smollm3"), shape_error);
  CHECK_THROWS_AS(rotating({{"num_hidden_layers", 3}, {"layer_types", {"full_attention"}}}, "llama"), shape_error);
  CHECK_THROWS_AS(rotating({{"num_hidden_layers", 1}, {"layer_types", {"full_attention", "conv"}}}, "llama"),
                  shape_error);
  CHECK_THROWS_AS(rotating({{"num_hidden_layers", 2}, {"layer_types", {"full_attention", 3}}}, "llama"), value_error);
  CHECK_THROWS_AS(rotating({{"num_hidden_layers", 4}, {"sliding_window", nullptr}}, "cohere2"), value_error);
  CHECK_THROWS_AS(rotating({{"hidden_size", 3}}, "llama"), value_error);
  CHECK_THROWS_AS(rotating({{"num_hidden_layers", 2}}, "lfm2"), value_error);
}

}  // namespace kvtransfer::test
