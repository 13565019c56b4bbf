#include "model/plan_checks.hpp"

#include <nlohmann/json.hpp>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "kvtransfer/model/session.hpp"
#include "support/in_frame.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::detail::require_runnable;
using namespace kvtransfer::test;
#if __has_include(<catch2/catch_all.hpp>)
using Catch::Matchers::ContainsSubstring;
#else
using Catch::Matchers::Contains;
#define ContainsSubstring Contains
#endif

TEST_CASE("the cache of another model is refused", "[model][plan_checks]") {
  const causal_lm model = small_model(1);
  const cache kv = prefill(small_model(2), {some_tokens(4)});
  CHECK_THROWS_AS(require_runnable(model, prepend(kv.view(), {{1}})), frame_error);
}

TEST_CASE("keys rotated by another specification are refused, layer and both specifications named",
          "[model][plan_checks]") {
  const causal_lm model = small_model();
  nlohmann::json config = small_config();
  config["rope_theta"] = 500000.0;
  cache kv = prefill(model, {some_tokens(4)});
  kv.reframe(rotary_specifications(model_config_from_json(config)));
  kv.materialize();
  CHECK_THROWS_WITH(require_runnable(model, prepend(kv.view(), {{1}})),
                    ContainsSubstring("layer 0") && ContainsSubstring("default"));
  kv.reframe(rotary_specifications(model.config));
  kv.materialize();
  CHECK_NOTHROW(require_runnable(model, prepend(kv.view(), {{1}})));
}

TEST_CASE("keys of a type that depends on length are compared by value, at the length at which they were written",
          "[model][plan_checks]") {
  const auto scaled = [](const nlohmann::json& scaling) {
    nlohmann::json config = small_config();
    config["max_position_embeddings"] = 16;
    config["rope_scaling"] = scaling;
    return config;
  };
  const nlohmann::json divisors(8, 1.0);
  const auto longrope = [&](double last, double attention) {
    nlohmann::json longer = divisors;
    longer.back() = last;
    return scaled({{"rope_type", "longrope"},
                   {"short_factor", divisors},
                   {"long_factor", longer},
                   {"original_max_position_embeddings", 8},
                   {"attention_factor", attention}});
  };
  struct written_and_read {
    nlohmann::json written;
    nlohmann::json read;
    const char* differs;  ///< what a refusal names
  };
  for (const auto& [written, read, differs] :
       std::vector<written_and_read>{{longrope(4.0, 1.0), longrope(5.0, 1.0), "inv_freq[7] "},
                                     {longrope(4.0, 1.0), longrope(4.0, 1.25), "attention_scaling 1.25"}}) {
    const causal_lm writer = small_model(1, written);
    const causal_lm reader = small_model(1, read);
    const cache kv = prefill(writer, {some_tokens(12)});
    CHECK_NOTHROW(require_runnable(writer, prepend(kv.view(), {{1}})));
    // Its origin names the parameter; once that is assumed, its frame names the values.
    CHECK_THROWS_WITH(require_runnable(reader, prepend(kv.view(), {{1}})), ContainsSubstring("rotary."));
    cache_frame assumed = kv.stored();
    assumed.set_origin(assume_same_weights(assumed.origin(), reader.identity));
    CHECK_THROWS_WITH(require_runnable(reader, prepend(in_frame(kv, assumed).view(), {{1}})),
                      ContainsSubstring("plan: layer 0: expected keys rotated as the model does at 12 tokens") &&
                          ContainsSubstring(differs));
  }
}

TEST_CASE("two names of one rotation are no difference", "[model][plan_checks]") {
  const causal_lm plain = small_model();
  cache_frame renamed = prefill(plain, {some_tokens(4)}).stored();
  const cache kv = prefill(plain, {some_tokens(4)});
  renamed = renamed.transform([](layer_frame layer) {
    layer.specifications[0].rope_type = "linear";  // by a factor of 1
    return layer;
  });
  CHECK_NOTHROW(require_runnable(plain, prepend(in_frame(kv, renamed).view(), {{1}})));
}

TEST_CASE("keys without rotation are refused", "[model][plan_checks]") {
  const causal_lm model = small_model();
  cache kv = prefill(model, {some_tokens(4)});
  kv.unrotate();
  kv.materialize();
  CHECK_THROWS_AS(require_runnable(model, prepend(kv.view(), {{1}})), frame_error);
}

TEST_CASE("an assumed frame is taken at its word", "[model][plan_checks]") {
  const causal_lm model = small_model();
  cache kv = prefill(model, {some_tokens(4)});
  const cache_frame honest = kv.target();
  kv.unrotate();
  kv.materialize();
  kv.assume_frame(honest);
  const plan input = prepend(kv.view(), {{1}});
  CHECK_NOTHROW(require_runnable(model, input));
  CHECK(generate(model, input, {.max_new_tokens = 2}).running.release().target().assumed());
}

TEST_CASE("a plan of another shape is refused", "[model][plan_checks]") {
  const causal_lm model = small_model();
  nlohmann::json config = small_config();
  config["num_hidden_layers"] = 2;
  const cache shallow = prefill(small_model(1, config), {some_tokens(4)});
  CHECK_THROWS_AS(require_runnable(model, prepend(shallow.view(), {{1}})), frame_error);
  config["num_hidden_layers"] = 3;
  config["num_key_value_heads"] = 1;
  cache narrow = prefill(small_model(1, config), {some_tokens(4)});
  narrow.assume_frame(narrow.target());  // past the identity, shapes still count
  CHECK_THROWS_AS(require_runnable(model, prepend(narrow.view(), {{1}})), shape_error);
}

TEST_CASE("tokens outside the vocabulary are refused", "[model][plan_checks]") {
  const causal_lm model = small_model();
  CHECK_THROWS_AS(require_runnable(model, plan_of({{97}})), value_error);
  CHECK_THROWS_AS(require_runnable(model, plan_of({{-1}})), value_error);
}

TEST_CASE("a plan that outlived a move of its keys in place is refused by every runner, which names the call",
          "[model][plan_checks]") {
  const causal_lm model = small_model();
  cache kv = prefill(model, {some_tokens(4)});
  const plan input = prepend(kv.view(), {{1}});
  kv.shift(100);
  CHECK_NOTHROW(plan_logits(model, input));  // nothing has moved yet
  kv.materialize();
  CHECK_THROWS_WITH(plan_logits(model, input), ContainsSubstring("a change by cache::materialize"));
  CHECK_THROWS_AS(generate(model, input, {.max_new_tokens = 2}), frame_error);
  CHECK_THROWS_AS(session(model, input), frame_error);
}
