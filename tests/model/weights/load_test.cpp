#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>

#include <map>
#include <string>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/causal_logits.hpp"
#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "kvtransfer/tensor/safetensors_folder.hpp"
#include "kvtransfer/tensor/safetensors_writer.hpp"
#include "model/transformer_fixture.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::message_of;
using kvtransfer::test::model_fixtures;
using kvtransfer::test::temporary_folder;

namespace {

constexpr std::string_view loaded_key = "model.layers.1.self_attn.k_proj.weight";

/// The tied fixture's tensors, for tests to spoil.
std::map<std::string, at::Tensor> fixture_tensors() {
  std::map<std::string, at::Tensor> tensors;
  const safetensors_folder files = safetensors_folder::open(model_fixtures() / "gqa-tied-fp32");
  for (const std::string& name : files.names()) {
    tensors[name] = files.tensor(name);
  }
  return tensors;
}

std::string complaint_loading(const std::map<std::string, at::Tensor>& tensors) {
  const temporary_folder folder;
  write_safetensors(folder.path() / "model.safetensors", tensors);
  const model_config config = read_model_config(model_fixtures() / "gqa-tied-fp32");
  return message_of<file_error>([&] { return load_weights(folder.path(), config, at::kCPU, at::kFloat); });
}

}  // namespace

TEST_CASE("weights in the file's own type are the mapped file, others are converted", "[model][weights]") {
  const auto folder = model_fixtures() / "mha-biased-fp16";
  const model_config config = read_model_config(folder);
  const at::Tensor stored = safetensors_folder::open(folder).tensor(loaded_key);
  const at::Tensor mapped = load_weights(folder, config, at::kCPU, at::kHalf).layers[1].k_proj.dense();
  const at::Tensor widened = load_weights(folder, config, at::kCPU, at::kFloat).layers[1].k_proj.dense();
  CHECK(mapped.storage().nbytes() == stored.nbytes());
  CHECK(at::equal(mapped, stored));
  CHECK(widened.scalar_type() == at::kFloat);
  CHECK(at::equal(widened, stored.to(at::kFloat)));
}

TEST_CASE("weights of shards are read as one model", "[model][weights]") {
  const auto folder = model_fixtures() / "wide-heads-bf16-sharded";
  const model_config config = read_model_config(folder);
  const model_weights weights = load_weights(folder, config, at::kCPU, at::kBFloat16);
  CHECK(weights.layers.size() == 3);
  CHECK_FALSE(weights.lm_head.is_same(weights.embed_tokens));
  CHECK_FALSE(weights.layers[0].q_bias.defined());
}

TEST_CASE("a missing, surplus or misshapen tensor is refused by file and name", "[model][weights]") {
  auto tensors = fixture_tensors();
  REQUIRE(complaint_loading(tensors).empty());

  tensors.erase(std::string(loaded_key));
  CHECK_THAT(complaint_loading(tensors),
             test::EndsWith(R"(: tensor: expected "model.layers.1.self_attn.k_proj.weight", got no such tensor)"));
  tensors[std::string(loaded_key)] = at::zeros({16, 31});
  CHECK_THAT(complaint_loading(tensors), test::EndsWith(R"(model.safetensors: tensor "model.layers.1.self_attn.k_proj)"
                                                        R"(.weight": shape: expected [16,32], got [16,31])"));
  tensors[std::string(loaded_key)] = at::zeros({16, 32}, at::kLong);
  CHECK_THAT(complaint_loading(tensors), test::EndsWith("dtype: expected F16, BF16, F32 or F64, got I64"));

  tensors = fixture_tensors();
  tensors["model.layers.0.self_attn.q_norm.weight"] = at::zeros({8});
  CHECK_THAT(complaint_loading(tensors), test::EndsWith(R"(got "model.layers.0.self_attn.q_norm.weight")"));
}

TEST_CASE("tables of the rotary embedding are passed over", "[model][weights]") {
  auto tensors = fixture_tensors();
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::zeros({4});
  CHECK(complaint_loading(tensors).empty());
}

TEST_CASE("a head that is stored beside the embedding it is tied to is tied where it is the same", "[model][weights]") {
  auto tensors = fixture_tensors();
  const model_config config = read_model_config(model_fixtures() / "gqa-tied-fp32");
  const auto head_of = [&](const at::Tensor& stored) {
    const temporary_folder folder;
    tensors["lm_head.weight"] = stored;
    write_safetensors(folder.path() / "model.safetensors", tensors);
    const model_weights weights = load_weights(folder.path(), config, at::kCPU, at::kFloat);
    return weights.lm_head.is_same(weights.embed_tokens) ? at::Tensor() : weights.lm_head.clone();
  };
  const at::Tensor embedding = tensors.at("model.embed_tokens.weight");
  CHECK_FALSE(head_of(embedding.clone()).defined());
  const at::Tensor other = embedding.clone();
  other[3][7] += 1;
  CHECK(at::equal(head_of(other), other));
  tensors["lm_head.weight"] = at::zeros({113, 31});
  CHECK_THAT(complaint_loading(tensors), test::EndsWith(R"("lm_head.weight": shape: expected [113,32], got [113,31])"));
}

TEST_CASE("a folder whose head is tied by name but stored apart says what transformers says", "[model][weights]") {
  const auto folder = model_fixtures() / "tied-but-stored-apart";
  const causal_lm model = causal_lm::open(folder, at::kCPU, at::kFloat);
  const safetensors_file expected = safetensors_file::open(folder / "expected.safetensors");
  const at::Tensor logits = causal_logits(model.config, model.weights, expected.tensor("ids").unsqueeze(0))[0];
  CHECK(at::allclose(logits, expected.tensor("logits"), 1e-4, 1e-4));
  const temporary_folder saved;  // and saved, it is the same again
  save_model(saved.path(), model.config, model.weights, at::kFloat);
  CHECK(at::equal(load_weights(saved.path(), model.config, at::kCPU, at::kFloat).lm_head, model.weights.lm_head));
}

TEST_CASE("a folder that is not there is refused by name", "[model][weights]") {
  const model_config config = read_model_config(model_fixtures() / "gqa-tied-fp32");
  CHECK(message_of<file_error>([&] { return load_weights("/nowhere", config, at::kCPU, at::kFloat); }) ==
        "/nowhere: folder: expected an existing folder, got none");
}

TEST_CASE("weights go to a GPU", "[model][weights][cuda]") {
  if (!test::cuda_available()) {
    return;
  }
  const auto folder = model_fixtures() / "gqa-tied-fp32";
  const model_config config = read_model_config(folder);
  const model_weights there = load_weights(folder, config, at::Device(at::kCUDA, 0), at::kFloat);
  CHECK(there.norm.is_cuda());
  CHECK(there.lm_head.is_same(there.embed_tokens));
  CHECK(at::equal(there.norm.cpu(), load_weights(folder, config, at::kCPU, at::kFloat).norm));
}
