// NF4 against bitsandbytes on the CPU (make_nf4_fixtures.py).

#include "kvtransfer/model/weights/nf4_matrix.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "kvtransfer/tensor/safetensors_writer.hpp"
#include "model/transformer.hpp"
#include "model/transformer_fixture.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/tensors.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

std::filesystem::path nf4_fixtures() {
  return std::filesystem::path(KVT_SOURCE_DIR) / "tests/model/weights/fixtures/nf4";
}

/// A folder saved in 4 bits, for tests to spoil.
std::map<std::string, at::Tensor> saved_tensors(const std::string& name) {
  std::map<std::string, at::Tensor> tensors;
  const safetensors_file file = safetensors_file::open(nf4_fixtures() / name / "model.safetensors");
  for (const std::string& tensor : file.names()) {
    tensors[tensor] = file.tensor(tensor);
  }
  return tensors;
}

std::string complaint_opening(const std::map<std::string, at::Tensor>& tensors) {
  const temporary_folder folder;
  write_safetensors(folder.path() / "model.safetensors", tensors);
  std::filesystem::copy_file(nf4_fixtures() / "nested/config.json", folder.path() / "config.json");
  return message_of<file_error>([&] { causal_lm::open(folder.path(), at::kCPU, at::kFloat); });
}

}  // namespace

TEST_CASE("codes, scales and values of NF4 are bitsandbytes' bit for bit, nested or not", "[model][nf4]") {
  const safetensors_file file = safetensors_file::open(nf4_fixtures() / "matrices.safetensors");
  int matrices = 0;
  for (const std::string& tensor : file.names()) {
    if (!tensor.ends_with(".dense")) {
      continue;
    }
    const std::string name = tensor.substr(0, tensor.rfind('.'));
    CAPTURE(name);
    ++matrices;
    const at::Tensor dense = file.tensor(tensor);
    const nf4_matrix plain = quantize_nf4(dense);
    CHECK(at::equal(plain.codes, file.tensor(name + ".codes")));
    CHECK(at::equal(plain.absmax, file.tensor(name + ".absmax")));
    CHECK(at::equal(dequantize_nf4(plain), file.tensor(name + ".values")));
    CHECK(dequantize_nf4(plain).scalar_type() == dense.scalar_type());

    const nf4_matrix nested = quantize_nf4(dense, true);
    REQUIRE(nested.nested.has_value());
    CHECK(at::equal(nested.codes, plain.codes));
    CHECK(at::equal(nested.absmax, file.tensor(name + ".nested.absmax")));
    CHECK(at::equal(nested.nested->absmax, file.tensor(name + ".nested.nested_absmax")));
    CHECK(at::equal(nested.nested->quant_map, file.tensor(name + ".nested.nested_quant_map")));
    CHECK(at::equal(nested.nested->offset.reshape({1}), file.tensor(name + ".nested.nested_offset")));
    CHECK(at::equal(dequantize_nf4(nested), file.tensor(name + ".nested.values")));
  }
  CHECK(matrices == 10);
}

TEST_CASE("folders that bitsandbytes has saved open in 4 bits and score as their values do", "[model][nf4]") {
  for (const std::string name : {"plain", "nested"}) {
    CAPTURE(name);
    const causal_lm model = causal_lm::open(nf4_fixtures() / name, at::kCPU, at::kFloat);
    CHECK(model.quantization == "nf4");
    CHECK(model.weights.layers[1].down_proj.nf4()->nested.has_value() == (name == "nested"));
    const safetensors_file expected = safetensors_file::open(nf4_fixtures() / name / "expected.safetensors");
    const at::Tensor logits = expected.tensor("logits");
    const at::Tensor ours = plan_logits(model, plan_of({to_list(expected.tensor("ids"))}))[0];
    CHECK(max_difference(logits, ours) < 1e-4 * logits.abs().max().item<double>());
  }
}

TEST_CASE("a model quantized while it is loaded is the one that bitsandbytes saved", "[model][nf4]") {
  const causal_lm saved = causal_lm::open(nf4_fixtures() / "plain", at::kCPU, at::kFloat);
  const causal_lm model =
      causal_lm::open(model_fixtures() / "gqa-tied-fp32", at::kCPU, at::kFloat, weight_quantization::nf4);
  CHECK(model.quantization == "nf4");
  std::map<std::string, at::Tensor> parts;
  for_each_parameter(saved.weights, [&](const std::string& name, const at::Tensor& part) { parts[name] = part; });
  std::size_t visited = 0;
  for_each_parameter(model.weights, [&](const std::string& name, const at::Tensor& part) {
    CAPTURE(name);
    ++visited;
    CHECK(at::equal(part, parts.at(name)));
  });
  CHECK(visited == parts.size());
}

TEST_CASE("what is said of a matrix in 4 bits is checked before it is read", "[model][nf4]") {
  const std::string matrix = "model.layers.1.mlp.up_proj.weight";
  REQUIRE(complaint_opening(saved_tensors("nested")).empty());

  auto tensors = saved_tensors("nested");
  tensors.erase(matrix + ".nested_absmax");
  CHECK_THAT(complaint_opening(tensors), EndsWith(".nested_absmax\", got no such tensor"));

  tensors = saved_tensors("nested");
  tensors[matrix] = tensors[matrix].slice(0, 0, 100).clone();
  CHECK_THAT(complaint_opening(tensors), contains("up_proj.weight\": expected 1152 elements of U8, got U8 [100,1]"));

  tensors = saved_tensors("nested");
  tensors[matrix + ".quant_map"] = at::zeros({16});
  CHECK_THAT(complaint_opening(tensors), EndsWith("expected the 16 values of NF4, -1 as number 0, got 0"));

  tensors = saved_tensors("nested");
  const std::string state = matrix + ".quant_state.bitsandbytes__nf4";
  tensors[state] = at::full({7}, static_cast<int>('x'), at::kByte);
  CHECK_THAT(complaint_opening(tensors), contains(state) && contains("expected valid JSON"));

  tensors = saved_tensors("nested");
  tensors["model.layers.1.mlp.up_proj.weight.zero_point"] = at::zeros({16});
  CHECK_THAT(complaint_opening(tensors), EndsWith("up_proj.weight.zero_point\""));
}

TEST_CASE("products with saved codes are computed in the dtype that the folder names, as bitsandbytes does",
          "[model][nf4]") {
  using detail::transformer::linear;
  const at::Tensor x = at::randn({3, 72});
  const at::Tensor bias = at::randn({32});
  const auto opened_with = [&](const nlohmann::json& dtype) {
    const temporary_folder folder;
    std::filesystem::copy(nf4_fixtures() / "plain/model.safetensors", folder.path() / "model.safetensors");
    nlohmann::json config = read_json_object(nf4_fixtures() / "plain/config.json");
    config["quantization_config"]["bnb_4bit_compute_dtype"] = dtype;
    folder.put("config.json", config.dump());
    return causal_lm::open(folder.path(), at::kCPU, at::kFloat).weights.layers[0].down_proj;
  };
  const weight_matrix plain = opened_with("float32");
  const at::Tensor values = plain.values();
  const at::Tensor exact = at::linear(x, values, bias);
  // The kernel and at::linear sum in different orders.
  CHECK((linear(x, plain, bias) - exact).abs().max().item<float>() < 1e-5F);
  CHECK(at::equal(linear(x, opened_with(nullptr), bias), linear(x, plain, bias)));
  for (const auto& [name, dtype] : {std::pair{"bfloat16", at::kBFloat16}, std::pair{"float16", at::kHalf}}) {
    CAPTURE(name);
    const at::Tensor rounded = linear(x, opened_with(name), bias);
    CHECK(rounded.scalar_type() == at::kFloat);
    const at::Tensor wanted = at::linear(x.to(dtype), values.to(dtype), bias.to(dtype)).to(at::kFloat);
    const double unit = dtype == at::kHalf ? 0x1p-10 : 0x1p-7;  // one unit in the last place
    CHECK(((rounded - wanted).abs() <= wanted.abs() * unit + 1e-5).all().item<bool>());
    CHECK_FALSE(((rounded - exact).abs() <= 1e-5).all().item<bool>());
  }
  CHECK_THAT(message_of<file_error>([&] { (void)opened_with("int8"); }),
             contains("quantization_config: expected a bnb_4bit_compute_dtype of float32, float16 or bfloat16"));
}

TEST_CASE("a matrix longer than one piece is quantized and brought back as in one", "[model][nf4]") {
  const at::Tensor dense =
      at::randn({1100, 1003});  // more than 2^20 elements, an odd number, a last block that is short
  for (const bool nested : {false, true}) {
    const nf4_matrix whole = quantize_nf4(dense, nested);
    const at::Tensor scales = nf4_scales(whole).repeat_interleave(64).slice(0, 0, dense.numel());
    const at::Tensor halves =
        at::stack({whole.codes.flatten().div(16, "floor"), whole.codes.flatten().bitwise_and(15)}, 1);
    const at::Tensor units = nf4_quant_map().index({halves.flatten().slice(0, 0, dense.numel()).to(at::kLong)});
    CHECK(at::equal(dequantize_nf4(whole), (units * scales).view(dense.sizes())));
    const nf4_matrix last = quantize_nf4(dense.flatten().slice(0, 1 << 20).unsqueeze(0), false);
    CHECK(at::equal(last.codes, whole.codes.slice(0, 1 << 19)));
  }
}

TEST_CASE("a model in 4 bits is saved as bitsandbytes saves it, bit for bit, and opens again", "[model][nf4]") {
  for (const std::string name : {"plain", "nested"}) {
    CAPTURE(name);
    const temporary_folder folder;
    const causal_lm model = causal_lm::open(nf4_fixtures() / name, at::kCPU, at::kFloat);
    save_model(folder.path(), model.config, model.weights, at::kFloat);
    const safetensors_file theirs = safetensors_file::open(nf4_fixtures() / name / "model.safetensors");
    const safetensors_file ours = safetensors_file::open(folder.path() / "model.safetensors");
    CHECK(ours.names() == theirs.names());
    for (const std::string& tensor : theirs.names()) {
      CAPTURE(tensor);
      if (tensor.ends_with("__nf4")) {
        const auto state = [&](const safetensors_file& file) {
          const at::Tensor bytes = file.tensor(tensor).contiguous();
          const auto* const text = static_cast<const char*>(bytes.const_data_ptr());
          return nlohmann::json::parse(text, text + bytes.numel());
        };
        CHECK(state(ours) == state(theirs));
      } else {
        CHECK(ours.tensor(tensor).scalar_type() == theirs.tensor(tensor).scalar_type());
        CHECK(at::equal(ours.tensor(tensor), theirs.tensor(tensor)));
      }
    }
    CHECK(causal_lm::open(folder.path(), at::kCPU, at::kFloat).identity.digest == model.identity.digest);
  }
}

TEST_CASE("a model quantized while it was loaded is saved with what brings it back", "[model][nf4]") {
  const temporary_folder folder;
  const causal_lm model =
      causal_lm::open(model_fixtures() / "gqa-tied-fp32", at::kCPU, at::kFloat, weight_quantization::nf4);
  save_model(folder.path(), model.config, model.weights, at::kFloat);
  const causal_lm again = causal_lm::open(folder.path(), at::kCPU, at::kFloat);
  CHECK(again.quantization == "nf4");
  const plan text = plan_of({{3, 14, 15, 92, 65}});
  CHECK(at::equal(plan_logits(again, text)[0], plan_logits(model, text)[0]));
  save_model(folder.path(), again.config,
             causal_lm::open(model_fixtures() / "gqa-tied-fp32", at::kCPU, at::kFloat).weights, at::kFloat);
  CHECK(causal_lm::open(folder.path(), at::kCPU, at::kFloat).quantization == "none");
}

TEST_CASE("matrices that NF4 cannot hold are refused", "[model][nf4]") {
  CHECK_THROWS_AS(quantize_nf4(at::zeros({2, 64}, at::kDouble)), value_error);
  CHECK_THROWS_AS(quantize_nf4(at::full({2, 64}, std::numeric_limits<float>::infinity())), value_error);
}
