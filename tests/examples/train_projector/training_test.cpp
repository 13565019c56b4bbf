#include "train_projector/training.hpp"

#include <ATen/ops/equal.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/project/layer_alignment.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;
using namespace kvtransfer::train_projector;

namespace {

/// Two models that differ in layers, widths, heads and θ, with one vocabulary.
model_pair two_models() {
  nlohmann::json other = small_config();
  other["num_hidden_layers"] = 2;
  other["hidden_size"] = 48;
  other["num_attention_heads"] = 3;
  other["num_key_value_heads"] = 3;
  other["rope_theta"] = 500.0;
  return {small_model(1), small_model(2, other)};
}

recipe short_recipe() {
  recipe plan;
  plan.steps = 6;
  plan.warm_up = 2;
  plan.rows = 4;
  plan.rows_at_once = 3;
  plan.hidden_size = 16;
  plan.intermediate_size = 16;
  plan.peak_learning_rate = 1e-2;
  return plan;
}

projectors::fuser fresh_fuser(const recipe& plan) {
  return projectors::fuser::random(key_rotation::unrotated,
                                   {{2, 16}, {3, 16}, plan.hidden_size, plan.intermediate_size, 1},
                                   {1.0, plan.final_temperature, plan.steps, plan.dropout}, align_last_layers(2, 3), 5);
}

std::vector<training_row> rows_of(std::int64_t step) {
  std::vector<training_row> rows;
  for (std::int64_t i = 0; i < 4; ++i) {
    const token_row text = some_tokens(5 + i, 10 * step + i);
    const token_row filler(text.size(), 7);
    rows.push_back({text, {}, filler, some_tokens(4 + i % 2, step + i), 2 + i % 2, text});
  }
  return rows;
}

std::map<std::string, at::Tensor> tensors_of(const projectors::fuser& fuser) {
  std::map<std::string, at::Tensor> tensors;
  fuser.for_each_tensor([&](const std::string& name, const at::Tensor& tensor) { tensors[name] = tensor; });
  return tensors;
}

const auto nothing = [](const projectors::fuser&, std::int64_t) {};

struct killed {};

}  // namespace

TEST_CASE("a run that was killed and resumed gives the unbroken run's weights, to the bit", "[train_projector]") {
  const model_pair models = two_models();
  const recipe plan = short_recipe();
  const projectors::fuser initial = fresh_fuser(plan);
  const temporary_folder one;
  const temporary_folder other;
  const auto unbroken = train(models, initial, plan, "id", one.path(), false, 100, 100, rows_of, nothing).first;
  const auto dies_at_step_4 = [](std::int64_t step) {
    if (step == 4) {
      throw killed{};
    }
    return rows_of(step);
  };
  CHECK_THROWS_AS(train(models, initial, plan, "id", other.path(), false, 100, 3, dies_at_step_4, nothing), killed);
  const auto resumed = train(models, initial, plan, "id", other.path(), true, 100, 3, rows_of, nothing).first;
  const auto expected = tensors_of(unbroken);
  for (const auto& [name, tensor] : tensors_of(resumed)) {
    CHECK(at::equal(tensor, expected.at(name)));
  }
  CHECK(resumed.digest() == unbroken.digest());
  CHECK(unbroken.digest() != initial.digest());
  CHECK_THAT(message_of<file_error>(
                 [&] { train(models, initial, plan, "another", other.path(), true, 100, 3, rows_of, nothing); }),
             contains("recipe: expected another, got id"));
}

TEST_CASE("training moves the loss down, and leaves both models and the initial fuser as they were",
          "[train_projector]") {
  const model_pair models = two_models();
  const model_pair same = two_models();
  recipe plan = short_recipe();
  plan.steps = 30;
  const projectors::fuser initial = fresh_fuser(plan);
  const std::string digest = fresh_fuser(plan).digest();
  const temporary_folder folder;
  const auto trained_for = [&](std::int64_t steps) {
    recipe shorter = plan;
    shorter.steps = steps;
    return train(
        models, initial, shorter, "id", folder.path(), false, 100, 100, [](std::int64_t) { return rows_of(0); },
        nothing);
  };
  const double first = trained_for(3).second.last_loss;
  const auto [fuser, cost] = trained_for(30);
  CHECK(cost.last_loss < first - 0.1);
  CHECK(cost.tokens > 0);
  CHECK(fresh_fuser(plan).digest() == digest);
  CHECK(models.receiver.identity == same.receiver.identity);
  CHECK(at::equal(models.receiver.weights.embed_tokens, same.receiver.weights.embed_tokens));
}

TEST_CASE("gradients go through what a harness does to a projection", "[train_projector]") {
  recipe plan = short_recipe();
  for (const char* words : {"restart", "unrotated"}) {
    model_pair models = two_models();
    models.between = harness(std::string(words));
    const projectors::fuser fuser = own_copy(fresh_fuser(plan), at::kCPU);
    fuser.for_each_tensor([](const std::string&, const at::Tensor& tensor) { tensor.set_requires_grad(true); });
    accumulate_gradients(models, fuser, plan, 0, rows_of(1));
    for (const auto& [name, tensor] : tensors_of(fuser)) {
      CHECK(tensor.grad().defined());
    }
    CHECK(tensors_of(fuser).at("layers.0.key_in.weight").grad().abs().max().item<double>() > 1e-6);
  }
}

TEST_CASE("a cache's distance is 0 from itself and 1 from the mean of its slots, whatever padding holds",
          "[train_projector]") {
  const causal_lm model = small_model();
  const cache right = prefill(model, {some_tokens(9, 1), some_tokens(4, 2)});
  CHECK(cache_distance(right.view(), right.view()).item<double>() == 0);
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  const at::Tensor held = validity_tensor(right.view().frame().layer(0).positions).unsqueeze(-1);
  const auto mean_of = [&](const at::Tensor& tensor) {
    const at::Tensor mean = tensor.mul(held).sum(at::IntArrayRef({0, 2}), true).div(held.sum());
    return mean.expand(tensor.sizes()).mul(held).add(held.logical_not(), 1e6);
  };
  for (std::int64_t i = 0; i < right.layers(); ++i) {
    keys.push_back(mean_of(right.view().layer(i).keys()));
    values.push_back(mean_of(right.view().layer(i).values()));
  }
  const cache_view<> flat(keys, values, right.view().frame());
  CHECK(cache_distance(flat, right.view()).item<double>() == Approx(1.0).epsilon(1e-5));
}

TEST_CASE("a recipe that weighs the cache draws a projection towards the receiver's own", "[train_projector]") {
  const model_pair models = two_models();
  recipe plan = short_recipe();
  plan.steps = 40;
  plan.dropout = 0;
  const auto distance_after = [&](double weight) {
    plan.cache_weight = weight;
    const temporary_folder folder;
    const auto fuser = train(
                           models, fresh_fuser(plan), plan, "id", folder.path(), false, 100, 100,
                           [](std::int64_t) { return rows_of(0); }, nothing)
                           .first;
    fuser.for_each_tensor([](const std::string& name, const at::Tensor& tensor) {
      if (name.ends_with("gate_logit")) {
        tensor.fill_(30);
      }
    });
    const cache own = prefill(models.receiver, column(rows_of(0), &training_row::text));
    return cache_distance(fused_cache(models, fuser, rows_of(0)).view(), own.view()).item<double>();
  };
  const double drawn = distance_after(10);
  CHECK(drawn < 0.95);  // 1 is no better than the mean of all slots
  CHECK(drawn < 0.5 * distance_after(0));
}

TEST_CASE("a schedule rises to its peak and falls to nothing", "[train_projector]") {
  recipe plan = short_recipe();
  plan.warm_up = 10;
  plan.steps = 110;
  plan.peak_learning_rate = 1;
  CHECK(learning_rate(plan, 0) == Approx(0.1));
  CHECK(learning_rate(plan, 9) == Approx(1.0));
  CHECK(learning_rate(plan, 60) == Approx(0.5));
  CHECK(learning_rate(plan, 35) == Approx(0.5 * (1 + std::sqrt(0.5))));
  CHECK(learning_rate(plan, 109) < 1e-3);
  plan.schedule = "linear";
  CHECK(learning_rate(plan, 60) == Approx(0.5));
  CHECK(learning_rate(plan, 35) == Approx(0.75));
}

TEST_CASE("accumulated gradients are those of all rows at once", "[train_projector]") {
  const model_pair models = two_models();
  recipe plan = short_recipe();
  plan.dropout = 0;
  projectors::fuser initial = fresh_fuser(plan);
  const auto gradients_by = [&](std::int64_t rows_at_once) {
    plan.rows_at_once = rows_at_once;
    const projectors::fuser fuser = own_copy(initial, at::kCPU);
    fuser.for_each_tensor([](const std::string& name, const at::Tensor& tensor) {
      tensor.set_requires_grad(true);
      if (name.ends_with("gate_logit")) {  // so far open that the noise, which differs, counts for nothing
        tensor.detach().fill_(30);
      }
    });
    accumulate_gradients(models, fuser, plan, 0, rows_of(1));
    std::map<std::string, at::Tensor> gradients;
    fuser.for_each_tensor([&](const std::string& name, const at::Tensor& tensor) { gradients[name] = tensor.grad(); });
    return gradients;
  };
  const auto whole = gradients_by(4);
  for (const auto& [name, gradient] : gradients_by(1)) {
    CHECK(max_difference(gradient, whole.at(name)) < 1e-5);
  }
  CHECK(whole.at("layers.0.key_in.weight").abs().max().item<double>() > 1e-4);
}
