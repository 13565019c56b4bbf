#include "kvtransfer/model/attention_mass.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>

#include <string>

#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "model/transformer_fixture.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("the mass on a source is what transformers' attentions sum up to", "[model][attention_mass]") {
  const safetensors_file file = safetensors_file::open(model_fixtures() / "scores.safetensors");
  for (const char* folder : {"gqa-tied-fp32", "architectures/gemma2", "architectures/smollm3", "architectures/qwen3"}) {
    INFO(folder);
    const std::string name = std::filesystem::path(folder).filename();
    const transformer_fixture fixture = read_transformer_fixture(folder);
    const causal_lm model = causal_lm::open(fixture.folder, at::kCPU, at::kFloat);
    const cache source = prefill(model, {to_list(fixture.source_ids)});
    const plan input = prepend(source.view(), {to_list(fixture.target_ids)});
    const slot_range all{0, source.length()};
    CHECK(max_difference(attention_mass(model, input, all), file.tensor(name + ".mass.last")) < 1e-5);
    CHECK(max_difference(attention_mass(model, input, all, attention_queries::all_tokens),
                         file.tensor(name + ".mass.all")) < 1e-5);
  }
}

TEST_CASE("masses of ranges side by side add up to one", "[model][attention_mass]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(9)});
  const plan input = prepend(source.view(), {some_tokens(4, 1)});
  at::Tensor sum = attention_mass(model, input, {0, 0});
  CHECK(sum.sizes() == at::IntArrayRef({3, 4}));
  CHECK(sum.abs().max().item<double>() == 0);
  for (const slot_range& part : {slot_range{0, 2}, slot_range{2, 9}, slot_range{11, 2}}) {
    sum = sum + attention_mass(model, input, part);
  }
  CHECK(max_difference(sum, at::ones({3, 4})) < 1e-6);
}

TEST_CASE("hidden slots and layers without injection get no mass", "[model][attention_mass]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(9)});
  plan input = prepend(source.view(), {some_tokens(4, 1)});
  const at::Tensor shown = at::ones({1, 2, 9}, at::kBool);
  shown[0][1].slice(0, 2, 6).fill_(false);
  input.layers[0].front().visible = shown;
  input.layers[2].clear();
  const at::Tensor hidden = attention_mass(model, input, {2, 4});
  CHECK(hidden[0].slice(0, 2, 4).abs().max().item<double>() == 0);  // query heads 2 and 3 share KV head 1
  CHECK(hidden[0].slice(0, 0, 2).min().item<double>() > 0);
  CHECK(hidden[1].min().item<double>() > 0);
  CHECK(attention_mass(model, input, {0, 9})[2].abs().max().item<double>() == 0);
  CHECK(max_difference(attention_mass(model, input, {9, 4})[2], at::ones({4})) < 1e-6);
}

TEST_CASE("a mass of slots that there are not, or of several sequences, is refused", "[model][attention_mass]") {
  const causal_lm model = small_model();
  const plan input = plan_of({some_tokens(5)});
  CHECK_THROWS_AS(attention_mass(model, input, {0, 6}), shape_error);
  CHECK_THROWS_AS(attention_mass(model, input, {-1, 2}), shape_error);
  CHECK_THROWS_AS(attention_mass(model, plan_of({some_tokens(5), some_tokens(3)}), {0, 2}), shape_error);
}
