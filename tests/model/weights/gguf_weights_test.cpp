#include "kvtransfer/model/weights/gguf_weights.hpp"

#include <ATen/ops/equal.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "model/weights/gguf_bytes.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::gguf_bytes;
using kvtransfer::test::gguf_fixtures;

namespace {

gguf_weights opened(const std::string& name) { return gguf_weights(gguf_file::open(gguf_fixtures() + name + ".gguf")); }

/// A llama of one layer, two heads of four, and its embedding.
gguf_bytes smallest() {
  gguf_bytes file;
  file.text("general.architecture", "llama").u32("llama.block_count", 1).u32("llama.context_length", 64);
  file.u32("llama.embedding_length", 8).u32("llama.feed_forward_length", 12).u32("llama.attention.head_count", 2);
  file.f32("llama.attention.layer_norm_rms_epsilon", 1e-6F);
  return file.floats("token_embd.weight", {8, 5}, std::string(160, 0));
}

std::string refusal_of(const gguf_bytes& bytes) {
  const test::temporary_folder folder;
  const auto path = folder.put("x.gguf", bytes.bytes());
  const std::string complaint = test::message_of<file_error>([&] { gguf_weights(gguf_file::open(path)); });
  return complaint.substr(std::min(complaint.find(".gguf: ") + 7, complaint.size()));
}

}  // namespace

TEST_CASE("each architecture's GGUF weights are the ones transformers had", "[model][gguf]") {
  for (const char* name : {"llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"}) {
    CAPTURE(name);
    const gguf_weights weights = opened(name);
    const safetensors_file expected = safetensors_file::open(gguf_fixtures() + name + ".safetensors");
    CHECK(weights.names() == expected.names());
    for (const std::string& weight : expected.names()) {
      CAPTURE(weight);
      const at::Tensor wanted = expected.tensor(weight);
      CHECK(weights.shape(weight) == wanted.sizes().vec());
      CHECK(at::equal(weights.load(weight, at::kFloat), wanted.to(at::kFloat)));
      CHECK(at::equal(weights.load(weight, at::kHalf), wanted));
      CHECK(at::equal(weights.load(weight, at::kBFloat16), wanted.to(at::kFloat).to(at::kBFloat16)));
    }
  }
}

TEST_CASE("rows of Q and K in a llama file are not in the order they come back in", "[model][gguf]") {
  const gguf_weights weights = opened("llama");
  for (const std::string projection : {"q_proj.weight", "k_proj.weight", "q_proj.bias", "k_proj.bias"}) {
    const std::string name = "model.layers.1.self_attn." + projection;
    const at::Tensor loaded = weights.load(name, at::kFloat);
    const auto stored = weights.file().floats(weights.name_in_file(name));
    const float* const first = loaded.const_data_ptr<float>();
    CHECK_FALSE(std::equal(stored.begin(), stored.end(), first));
    CHECK(std::is_permutation(stored.begin(), stored.end(), first));
  }
}

TEST_CASE("a weight larger than the block held while loading comes back whole", "[model][gguf]") {
  constexpr std::int64_t vocabulary = 140'000;  // times 8: more than a block of 2^18 elements, and no multiple of it
  std::string rows;
  for (std::int64_t i = 0; i < vocabulary * 8; ++i) {
    rows += test::raw(static_cast<float>(i));
  }
  gguf_bytes bytes;
  bytes.text("general.architecture", "llama").u32("llama.block_count", 1).u32("llama.context_length", 64);
  bytes.u32("llama.embedding_length", 8).u32("llama.feed_forward_length", 12).u32("llama.attention.head_count", 2);
  bytes.f32("llama.attention.layer_norm_rms_epsilon", 1e-6F);
  bytes.floats("token_embd.weight", {8, static_cast<std::uint64_t>(vocabulary)}, rows);
  const test::temporary_folder folder;
  const gguf_weights weights(gguf_file::open(folder.put("x.gguf", bytes.bytes())));
  const at::Tensor loaded = weights.load("model.embed_tokens.weight", at::kFloat);
  REQUIRE(loaded.numel() == vocabulary * 8);
  bool in_order = true;
  for (std::int64_t i = 0; i < loaded.numel(); ++i) {
    in_order = in_order && loaded.const_data_ptr<float>()[i] == static_cast<float>(i);
  }
  CHECK(in_order);
}

TEST_CASE("a GGUF tensor that the model has no place for is refused by name", "[model][gguf]") {
  const std::string model = "tensors: expected those of a llama model of 1 layers, got ";
  const std::string number(4, 0);
  for (const char* name :
       {"blk.1.attn_q.weight", "blk.01.attn_q.weight", "blk.-1.attn_q.weight", "blk.0.attn_q_norm.weight",
        "blk.0.attn_norm.bias", "blk.0.ffn_gate_inp.weight", "blk.0.attn_qkv.weight", "blk.0.attn_q", "blk.0",
        "blk..weight", "output.bias", "rope_factors_long.weight", ""}) {
    CHECK(refusal_of(smallest().floats(name, {1}, number)) == model + '"' + name + '"');
  }
  CHECK(
      refusal_of(smallest().floats("blk.0.attn_q.weight", {8, 4}, std::string(128, 0))) ==
      "tensor \"blk.0.attn_q.weight\": shape: expected a matrix of 2 heads of 4 rows, or as many elements, got [4,8]");
}

TEST_CASE("weights are asked for by a name that is there, in a type that a model runs in", "[model][gguf]") {
  const gguf_weights weights = opened("qwen2");
  CHECK(weights.contains("model.norm.weight"));
  CHECK_FALSE(weights.contains("lm_head.weight"));
  CHECK_THAT(test::message_of<file_error>([&] { static_cast<void>(weights.load("lm_head.weight", at::kFloat)); }),
             test::EndsWith("qwen2.gguf: tensor: expected \"lm_head.weight\", got no such tensor"));
  CHECK(test::message_of<value_error>([&] { static_cast<void>(weights.load("model.norm.weight", at::kInt)); }) ==
        "gguf_weights::load: dtype: expected float32, float16 or bfloat16, got Int");
}

TEST_CASE("a weight of a type that cannot be read is refused when it is asked for", "[model][gguf]") {
  gguf_bytes bytes;
  bytes.text("general.architecture", "llama").u32("llama.block_count", 1).u32("llama.context_length", 64);
  bytes.u32("llama.embedding_length", 256).u32("llama.feed_forward_length", 12).u32("llama.attention.head_count", 2);
  bytes.f32("llama.attention.layer_norm_rms_epsilon", 1e-6F).tensor("token_embd.weight", {256, 1}, 23, 0);
  const test::temporary_folder folder;
  const gguf_weights weights(gguf_file::open(folder.put("x.gguf", bytes.data(std::string(136, 0)).bytes())));
  CHECK_THAT(
      test::message_of<file_error>([&] { static_cast<void>(weights.load("model.embed_tokens.weight", at::kFloat)); }),
      test::contains("tensor \"token_embd.weight\": type: expected one of F32, F16, Q4_0") &&
          test::EndsWith("got IQ4_XS"));
}
