#include "kvtransfer/model/causal_lm.hpp"

#include <ATen/ops/equal.h>

#include <filesystem>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/session.hpp"
#include "kvtransfer/model/weights/find_gguf.hpp"
#include "model/weights/gguf_bytes.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("two models of one shape carry different identities", "[model][causal_lm]") {
  CHECK(small_model(1).identity == small_model(1).identity);
  CHECK(small_model(1).identity.digest != small_model(2).identity.digest);
}

TEST_CASE("an adapter beside the weights, which transformers would add to them, is refused", "[model][causal_lm]") {
  const temporary_folder folder;
  const causal_lm model = small_model();
  save_model(folder.path(), model.config, model.weights, at::kFloat);
  CHECK(causal_lm::open(folder.path(), at::kCPU, at::kFloat).identity.digest == model.identity.digest);
  folder.put("adapter_config.json", "{}");
  CHECK(message_of<file_error>([&] { causal_lm::open(folder.path(), at::kCPU, at::kFloat); }) ==
        folder.path().string() +
            ": adapter: expected none, or one that is merged into the weights, got adapter_config.json");
}

TEST_CASE("a folder that does not exist is named", "[model][causal_lm]") {
  CHECK_THROWS_AS(causal_lm::open("/no/such/model", at::kCPU, at::kFloat), file_error);
}

TEST_CASE("a GGUF file opens by its own path and as the only one of a folder without config.json",
          "[model][causal_lm]") {
  const std::filesystem::path file = KVT_SOURCE_DIR "/tests/model/weights/fixtures/gguf/llama.gguf";
  const temporary_folder folder;
  std::filesystem::copy_file(file, folder.path() / "model.gguf");
  const causal_lm by_file = causal_lm::open(file, at::kCPU, at::kFloat);
  const causal_lm by_folder = causal_lm::open(folder.path(), at::kCPU, at::kBFloat16);
  CHECK(by_file.identity == by_folder.identity);
  CHECK(by_folder.dtype() == at::kBFloat16);
  CHECK(by_file.config.architecture == "LlamaForCausalLM");
  std::filesystem::copy_file(file, folder.path() / "other.gguf");
  CHECK(message_of<file_error>([&] { (void)find_gguf(folder.path()); }) ==
        folder.path().string() + ": model: expected config.json, or one file that ends in .gguf, got 2 of them");
  folder.put("config.json", "{}");
  CHECK_FALSE(find_gguf(folder.path()).has_value());
  CHECK_THROWS_AS(causal_lm::open(folder.path(), at::kCPU, at::kFloat), file_error);
}

TEST_CASE("a GGUF file computes what its weights in a folder compute", "[model][causal_lm]") {
  const std::filesystem::path file = KVT_SOURCE_DIR "/tests/model/weights/fixtures/gguf/llama.gguf";
  const causal_lm stored = causal_lm::open(file, at::kCPU, at::kFloat);
  const temporary_folder folder;
  save_model(folder.path(), stored.config, stored.weights, at::kFloat);
  const causal_lm saved = causal_lm::open(folder.path(), at::kCPU, at::kFloat);
  CHECK(saved.identity.digest != stored.identity.digest);  // another storage of the same weights
  CHECK(assume_same_weights(stored.identity, saved.identity).model() == saved.identity);
  const std::vector<std::int64_t> text{1, 2, 3, 4};
  CHECK(at::equal(session(stored, plan_of({text})).logits(), session(saved, plan_of({text})).logits()));
}

TEST_CASE("a GGUF file without one of its tensors, or with one too many, is refused by the tensor's name",
          "[model][causal_lm]") {
  const temporary_folder folder;
  const auto complaint = [&](const char* extra) {
    gguf_bytes bytes;
    bytes.text("general.architecture", "llama").u32("llama.block_count", 1).u32("llama.context_length", 64);
    bytes.u32("llama.embedding_length", 8).u32("llama.feed_forward_length", 12);
    bytes.u32("llama.attention.head_count", 2).f32("llama.attention.layer_norm_rms_epsilon", 1e-6F);
    bytes.floats("token_embd.weight", {8, 5}, std::string(160, 0));
    if (extra != nullptr) {
      bytes.floats(extra, {8}, std::string(32, 0));
    }
    const auto path = folder.put("x.gguf", bytes.bytes());
    return message_of<file_error>([&] { (void)causal_lm::open(path, at::kCPU, at::kFloat); });
  };
  CHECK_THAT(complaint(nullptr), test::contains("x.gguf: tensor: expected \"model.layers.0.input_layernorm.weight\""));
  CHECK_THAT(complaint("blk.0.attn_q_norm.weight"), test::contains("blk.0.attn_q_norm.weight"));
}
