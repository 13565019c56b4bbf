// A model whose weights or configuration are no longer those that its identity was taken of.

#include <ATen/TensorOperators.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/generate_many.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "kvtransfer/model/score.hpp"
#include "kvtransfer/model/session.hpp"
#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "model/transformer_fixture.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

const std::vector<std::int64_t> first_text = some_tokens(6);
const std::vector<std::int64_t> next_text = some_tokens(4, 3);

/// The same model but for its rotary embeddings.
causal_lm linearly_stretched() {
  nlohmann::json config = small_config();
  config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2.0}};
  return small_model(1, config);
}

struct model_change {
  std::string found;  ///< how it is named
  std::function<void(causal_lm&)> make;
};

/// Ways in which somebody changes a model in memory.
std::vector<model_change> model_changes() {
  return {{"model.norm.weight", [](causal_lm& model) { model.weights.norm.mul_(1.1); }},
          {"model.embed_tokens.weight", [](causal_lm& model) { model.weights.embed_tokens[5].add_(0.3); }},
          {"model.layers.1.self_attn.k_proj.weight",
           [](causal_lm& model) { model.weights.layers[1].k_proj.dense().mul_(2); }},
          {"model.layers.2.mlp.up_proj.weight",
           [](causal_lm& model) {
             at::Tensor& matrix = model.weights.layers[2].up_proj.dense();
             matrix = matrix + 0.01;
           }},
          {"config", [](causal_lm& model) { model.config.rms_norm_eps = 0.5; }},
          {"config", [](causal_lm& model) { model.config.attention[1].scale *= 2; }},
          {"config", [](causal_lm& model) { model.config.rotary[1] = linearly_stretched().config.rotary[1]; }}};
}

}  // namespace

TEST_CASE("a model that was changed since its identity was taken says what of it was", "[model][changed_model]") {
  for (const model_change& each : model_changes()) {
    causal_lm model = small_model();
    CHECK(model.changed().empty());
    each.make(model);
    CHECK(model.changed() == each.found);
    CHECK(causal_lm(model).changed() == each.found);
    CHECK(causal_lm::of(model.config, model.weights).changed().empty());
  }
}

TEST_CASE("what model_changes no number is no change of a model", "[model][changed_model]") {
  causal_lm model = small_model();
  model.config.eos_token_ids = {3};
  model.config.bos_token_id = 7;
  model.config.max_position_embeddings = 1'000;
  for_each_parameter(model.weights, [](const std::string&, at::Tensor& tensor) {
    tensor.requires_grad_(true);
    tensor = tensor.to(at::kFloat);  // as it is already
  });
  CHECK(model.changed().empty());
  CHECK(small_model().identity == model.identity);
}

TEST_CASE("caches do not pass between a model and what it was changed to, in any runner", "[model][changed_model]") {
  for (const model_change& each : model_changes()) {
    CAPTURE(each.found);
    causal_lm model = small_model();
    const cache before = prefill(model, {first_text});
    each.make(model);
    const plan old = prepend(before.view(), {next_text});
    const std::string refusal =
        "plan: layer 0: model: expected one that is as its identity says (causal_lm::of makes one "
        "of what was changed), got a change of " +
        each.found;
    CHECK(message_of<frame_error>([&] { session(model, old); }) == refusal);
    CHECK(message_of<frame_error>([&] { (void)plan_logits(model, old); }) == refusal);
    CHECK(message_of<frame_error>([&] { (void)score(model, old, next_text); }) == refusal);
    CHECK(message_of<frame_error>([&] { (void)generate_many(model, {{.input = old, .settings = {}}}); }) == refusal);

    const cache after = prefill(model, {first_text});  // it still runs, but nobody knows which model it is
    CHECK_FALSE(after.target().origin().is_known());
    CHECK_FALSE(generate_many(model, {{.input = plan_of({first_text}), .settings = {}, .keeps_cache = true}})[0]
                    .left->target()
                    .origin()
                    .is_known());
    CHECK_THROWS_AS(session(small_model(), prepend(after.view(), {next_text})), frame_error);
    const temporary_folder folder;
    save_cache(folder.path() / "cache", after);
    CHECK_THROWS_AS(cache_file::open(folder.path() / "cache").load(small_model().identity), frame_error);

    const causal_lm its_own = causal_lm::of(model.config, model.weights);
    const cache known = prefill(its_own, {first_text});
    CHECK_NOTHROW(session(its_own, prepend(known.view(), {next_text})));
    if (each.found != "config") {
      CHECK(its_own.identity.digest != small_model().identity.digest);
    }
    CHECK_THROWS_AS(session(small_model(), prepend(known.view(), {next_text})), frame_error);
  }
}

TEST_CASE("a changed model says what a model of its weights says", "[model][changed_model]") {
  for (const model_change& each : model_changes()) {
    CAPTURE(each.found);
    causal_lm model = small_model();
    each.make(model);
    const causal_lm its_own = causal_lm::of(model.config, model.weights);
    const plan both = plan_of({joined(first_text, next_text)});
    CHECK(generate(model, both, {}).sequences[0].token_ids == generate(its_own, both, {}).sequences[0].token_ids);
    const auto found = score_each(model, both, {next_text, first_text});
    const auto expected = score_each(its_own, both, {next_text, first_text});
    CHECK(max_difference(found[1].log_probs, expected[1].log_probs) < 1e-5);
  }
}

TEST_CASE("weights that were written in place on the disk while they are mapped are found out by every runner",
          "[model][changed_model]") {
  const temporary_folder folder;
  std::filesystem::copy(model_fixtures() / "gqa-tied-fp32", folder.path() / "model");
  const std::filesystem::path file = folder.path() / "model" / "model.safetensors";
  std::filesystem::permissions(file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const causal_lm model = causal_lm::open(folder.path() / "model", at::kCPU, at::kFloat);
  const causal_lm converted = causal_lm::open(folder.path() / "model", at::kCPU, at::kDouble);
  const plan text = plan_of({{1, 2, 3}});
  CHECK_NOTHROW(session(model, text));
  {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(-64, std::ios::end);
    stream.write("0123456789", 10);
  }
  const auto refused = contains("got a file that was written to since");
  CHECK_THAT(message_of<file_error>([&] { session(model, text); }), refused);
  CHECK_THAT(message_of<file_error>([&] { (void)plan_logits(model, text); }), refused);
  CHECK_THAT(message_of<file_error>([&] { (void)generate_many(model, {{.input = text, .settings = {}}}); }), refused);
  CHECK_NOTHROW(session(converted, text));  // which has numbers of its own
}

TEST_CASE("a session does not go on with other weights than it began with, nor is what it holds said to be theirs",
          "[model][changed_model]") {
  causal_lm model = small_model();
  session running(model, plan_of({{3, 4, 5}}), 4);
  running.step({6});
  const at::Tensor own = model.weights.norm;
  model.weights.norm = own.mul(2);
  const auto refused = contains("expected the weights that wrote what it holds (begin another session), got a change");
  CHECK_THAT(message_of<frame_error>([&] { running.step({7}); }), refused);
  CHECK_THAT(message_of<frame_error>([&] { (void)std::move(running).release(); }), refused);
  model.weights.norm = own;
  running.step({7});
  CHECK(std::move(running).release().length() == 5);

  causal_lm changed = small_model();
  changed.weights.norm.mul_(2);  // before it begins: what it holds is of unknown origin
  session unknown(changed, plan_of({{3, 4, 5}}), 1);
  unknown.step({6});
  CHECK_FALSE(std::move(unknown).release().stored().origin().is_known());
}
