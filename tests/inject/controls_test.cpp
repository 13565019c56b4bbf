#include "kvtransfer/inject/controls.hpp"

#include <ATen/ops/equal.h>

#include <nlohmann/json.hpp>
#include <set>

#include "kvtransfer/inject/noise.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Where a tensor of `all` is, the same numbers; -1 where it is none of them.
std::int64_t found_among(const at::Tensor& one, const std::vector<at::Tensor>& all) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (at::equal(one, all[i])) {
      return static_cast<std::int64_t>(i);
    }
  }
  return -1;
}

}  // namespace

TEST_CASE("a shuffled cycle leaves no number in its place, and holds each once", "[inject][controls]") {
  for (std::int64_t count = 2; count < 30; ++count) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const std::vector<std::int64_t> order = shuffled_cycle(count, seed);
      CHECK(std::set<std::int64_t>(order.begin(), order.end()).size() == static_cast<std::size_t>(count));
      for (std::int64_t i = 0; i < count; ++i) {
        CHECK(order[static_cast<std::size_t>(i)] != i);
      }
    }
  }
  CHECK(shuffled_cycle(12, 3) == shuffled_cycle(12, 3));
  CHECK(shuffled_cycle(12, 3) != shuffled_cycle(12, 4));
  CHECK(shuffled_cycle(1, 0) == std::vector<std::int64_t>{0});
}

TEST_CASE("zeros are an edit in the source's frame", "[inject][controls]") {
  const cache source = prefill(small_model(), {some_tokens(6)});
  const cache zeros = zeros_like(source.view());
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    CHECK(zeros.view().layer(i).keys().count_nonzero().item<std::int64_t>() == 0);
    CHECK(zeros.view().layer(i).values().count_nonzero().item<std::int64_t>() == 0);
  }
  CHECK(zeros.view().frame().has_layers_of(source.view().frame()));
  REQUIRE(zeros.view().frame().edits().size() == 1);
  CHECK(describe(zeros.view().frame().edits().front()) ==
        "other in keys and values, layers 0-2, slots 0-5, from zeros");
}

TEST_CASE("shuffled layers hold each other's keys and values", "[inject][controls]") {
  const cache source = prefill(small_model(), {some_tokens(6)});
  const cache mixed = with_shuffled_layers(source.view(), 5);
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    keys.push_back(source.view().layer(i).keys());
    values.push_back(source.view().layer(i).values());
  }
  std::set<std::int64_t> seen;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    const std::int64_t from = found_among(mixed.view().layer(i).keys(), keys);
    CHECK(from >= 0);
    CHECK(from != i);
    CHECK(found_among(mixed.view().layer(i).values(), values) == from);
    seen.insert(from);
  }
  CHECK(seen.size() == 3);
  CHECK(describe(mixed.view().frame().edits().front()) ==
        "mixture in keys and values, layers 0-2, slots 0-5, from its other layers, seed 5");
}

TEST_CASE("layers that rotate otherwise are not exchanged", "[inject][controls]") {
  nlohmann::json config = small_config();
  config["architectures"] = {"SmolLM3ForCausalLM"};
  config["model_type"] = "smollm3";
  config["no_rope_layers"] = {1, 0, 1};
  const cache source = prefill(small_model(1, config), {some_tokens(6)});
  const cache mixed = with_shuffled_layers(source.view(), 0);
  CHECK(at::equal(mixed.view().layer(0).keys(), source.view().layer(2).keys()));
  CHECK(at::equal(mixed.view().layer(1).keys(), source.view().layer(1).keys()));
  CHECK(mixed.view().frame().edits().front().layers == std::vector<std::int64_t>{0, 2});
  config["num_hidden_layers"] = 2;
  config["no_rope_layers"] = {1, 0};
  CHECK_THROWS_AS(with_shuffled_layers(prefill(small_model(1, config), {some_tokens(6)}).view(), 0), value_error);
}

TEST_CASE("shuffled heads hold keys and values of another head of their layer", "[inject][controls]") {
  const cache source = prefill(small_model(), {some_tokens(6)});
  const cache mixed = with_shuffled_heads(source.view(), 1);
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    for (std::int64_t head = 0; head < 2; ++head) {
      CHECK(at::equal(mixed.view().layer(i).keys().select(1, head), source.view().layer(i).keys().select(1, 1 - head)));
      CHECK(at::equal(mixed.view().layer(i).values().select(1, head),
                      source.view().layer(i).values().select(1, 1 - head)));
    }
  }
  nlohmann::json config = small_config();
  config["num_key_value_heads"] = 1;
  CHECK_THROWS_AS(with_shuffled_heads(prefill(small_model(1, config), {some_tokens(6)}).view(), 0), value_error);
}

TEST_CASE("shuffled slots lie elsewhere and change nothing that is said", "[inject][controls]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(9)});
  const cache mixed = with_shuffled_slots(source.view(), 2);
  CHECK_FALSE(at::equal(mixed.view().layer(0).keys(), source.view().layer(0).keys()));
  CHECK(mixed.view().frame().edits().empty());
  CHECK(max_difference(plan_logits(model, prepend(mixed.view(), {some_tokens(4, 1)})),
                       plan_logits(model, prepend(source.view(), {some_tokens(4, 1)}))) < 1e-4);
}

TEST_CASE("noise behind kept slots leaves these alone", "[inject][controls]") {
  const cache source = prefill(small_model(), {some_tokens(6)});
  const cache noise = moment_matched_noise(source.view(), 3, 1);
  const cache all = moment_matched_noise(source.view(), 3);
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    const at::Tensor keys = noise.view().layer(i).keys();
    CHECK(at::equal(keys.slice(2, 0, 1), source.view().layer(i).keys().slice(2, 0, 1)));
    CHECK(at::equal(keys.slice(2, 1), all.view().layer(i).keys().slice(2, 1)));
  }
  REQUIRE(noise.view().frame().edits().size() == 1);
  CHECK(describe(noise.view().frame().edits().front()) ==
        "noise in keys and values, layers 0-2, slots 1-5, from seed 3");
  CHECK_THROWS_AS(moment_matched_noise(source.view(), 3, 6), value_error);
}
