#include "kvtransfer/experiment/model_info.hpp"

#include <nlohmann/json.hpp>

#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a model's record has its sizes and its RoPE", "[experiment][model_info]") {
  const model_info info = make_model_info(small_model(), "some/folder");
  const nlohmann::json rope = nlohmann::json::parse(info.rope);
  CHECK(info.path == "some/folder");
  CHECK(info.architecture == "LlamaForCausalLM");
  CHECK(info.layers == 3);
  CHECK(info.kv_heads == 2);
  CHECK(info.head_dim == 16);
  CHECK(rope["rope_type"] == "default");
  CHECK(rope["rope_theta"] == 10000.0);
  CHECK(rope["rotary_dim"] == 16);
  CHECK(rope["pairing"] == "half_split");
  CHECK_FALSE(rope.contains("layers_that_differ"));
  CHECK(info.identity == small_model().identity);
}

TEST_CASE("a scaled RoPE is recorded with its parameters", "[experiment][model_info]") {
  nlohmann::json config = small_config();
  config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 4.0}};
  const model_info info = make_model_info(small_model(1, config), "f");
  const nlohmann::json rope = nlohmann::json::parse(info.rope);
  CHECK(rope["rope_type"] == "linear");
  CHECK(rope["factor"] == 4.0);
}
