// Windows that bite: what holds for any causal model holds for one whose layers see a few keys only.

#include "model/window_checks.hpp"

#include <nlohmann/json.hpp>

#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Three layers that see 6 keys each.
causal_lm windowed_model() {
  nlohmann::json config = small_config();
  config["architectures"] = {"MistralForCausalLM"};
  config["model_type"] = "mistral";
  config["sliding_window"] = 6;
  return small_model(1, config);
}

/// Layers 0 and 2 see 6 keys, layer 1 all.
causal_lm alternating_model() {
  nlohmann::json config = small_config();
  config["architectures"] = {"Gemma2ForCausalLM"};
  config["model_type"] = "gemma2";
  config["head_dim"] = 16;
  config["sliding_window"] = 6;
  return small_model(1, config);
}

std::vector<std::int64_t> said_by(const causal_lm& model, const plan& input, std::size_t row = 0) {
  return generate(model, input, {.max_new_tokens = 16}).sequences.at(row).token_ids;
}

/// The cache that an engine keeps which drops what no window will show again: windowed layers hold 5 keys.
cache wrapped(const causal_lm& model, const cache& whole) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  std::vector<cache_frame::shared_layer> layers;
  const cache_view<> view = whole.view();
  for (std::int64_t i = 0; i < view.layers(); ++i) {
    const std::int64_t end = view.layer(i).size();
    const std::int64_t begin = model.config.attention[static_cast<std::size_t>(i)].window ? end - 5 : 0;
    keys.push_back(view.layer(i).keys().slice(2, begin, end).clone());
    values.push_back(view.layer(i).values().slice(2, begin, end).clone());
    layers.push_back(std::make_shared<layer_frame>(view.layer(i).frame().slice(begin, end)));
  }
  cache_frame frame(std::move(layers));
  frame.set_origin(view.frame().origin());
  return cache(std::move(keys), std::move(values), std::move(frame), as_written);
}

}  // namespace

TEST_CASE("a window that bites changes what a model says", "[model][window]") {
  const causal_lm model = windowed_model();
  causal_lm all_seen = windowed_model();
  for (attention_specification& layer : all_seen.config.attention) {
    layer.window.reset();
  }
  const auto text = some_tokens(20);
  const double scale = plan_logits(model, plan_of({text})).abs().max().item<double>();
  CHECK(max_difference(plan_logits(model, plan_of({text})), plan_logits(all_seen, plan_of({text}))) > 0.1 * scale);
  const auto short_text = some_tokens(6);
  CHECK(max_difference(plan_logits(model, plan_of({short_text})), plan_logits(all_seen, plan_of({short_text}))) <
        1e-5 * scale);
}

TEST_CASE("a windowed model's cache, its target behind it, is the whole text, read at once or token by token",
          "[model][window]") {
  for (const causal_lm& model : {windowed_model(), alternating_model()}) {
    const auto source = some_tokens(17);
    const auto target = some_tokens(9, 3);
    const cache kv = prefill(model, {source});
    const at::Tensor whole = plan_logits(model, plan_of({joined(source, target)}));
    const double scale = whole.abs().max().item<double>();
    CHECK(max_difference(whole.slice(1, 17), plan_logits(model, prepend(kv.view(), {target}))) < 1e-5 * scale);

    session running(model, plan_of({source}), 9);
    for (std::size_t i = 0; i < target.size(); ++i) {
      running.step({target[i]});
      CHECK(max_difference(whole[0][static_cast<std::int64_t>(17 + i)], running.logits()[0]) < 1e-5 * scale);
    }
    CHECK(said_by(model, plan_of({joined(source, target)})) == said_by(model, prepend(kv.view(), {target})));
  }
}

TEST_CASE("a moved cache of a windowed model goes on as where it was", "[model][window]") {
  for (const causal_lm& model : {windowed_model(), alternating_model()}) {
    cache kv = prefill(model, {some_tokens(17)});
    const auto target = some_tokens(5, 3);
    const auto here = said_by(model, prepend(kv.view(), {target}));
    kv.shift(40);
    kv.materialize();
    CHECK(said_by(model, prepend(kv.view(), {target})) == here);
  }
}

TEST_CASE("a windowed batch of unequal rows says what each row says alone: padding takes no room in a window",
          "[model][window]") {
  for (const causal_lm& model : {windowed_model(), alternating_model()}) {
    const std::vector<std::vector<std::int64_t>> sources = {some_tokens(17), some_tokens(4, 1)};
    const std::vector<std::vector<std::int64_t>> targets = {some_tokens(3, 2), some_tokens(8, 3)};
    const cache together = prefill(model, sources);
    const plan batch = prepend(together.view(), targets);
    for (std::size_t row = 0; row < sources.size(); ++row) {
      const cache alone = prefill(model, {sources[row]});
      CHECK(said_by(model, batch, row) == said_by(model, prepend(alone.view(), {targets[row]})));
    }
  }
}

TEST_CASE("a cache cut anywhere is right while every layer is cut alike", "[model][window]") {
  for (const causal_lm& model : {windowed_model(), alternating_model()}) {
    const auto text = some_tokens(20);
    cache kv = prefill(model, {text});
    kv.crop(12);
    const std::vector<std::int64_t> kept(text.begin(), text.begin() + 12);
    const auto target = some_tokens(5, 3);
    CHECK(said_by(model, prepend(kv.view(), {target})) == said_by(model, plan_of({joined(kept, target)})));
  }
}

TEST_CASE("a wrapped cache goes on as the whole one, saved and opened too, and refuses to be cut", "[model][window]") {
  const auto target = some_tokens(5, 3);
  const causal_lm model = alternating_model();
  const cache whole = prefill(model, {some_tokens(17)});
  cache kept = wrapped(model, whole);
  const auto expected = said_by(model, prepend(whole.view(), {target}));
  CHECK(said_by(model, prepend(kept.view(), {target})) == expected);

  const temporary_folder folder;
  save_cache(folder.path() / "wrapped.safetensors", kept);
  const cache_file file = cache_file::open(folder.path() / "wrapped.safetensors");
  std::vector<at::Tensor> opened_keys;
  std::vector<at::Tensor> opened_values;
  for (std::int64_t i = 0; i < file.layers(); ++i) {
    opened_keys.push_back(file.layer(i).keys());
    opened_values.push_back(file.layer(i).values());
  }
  CHECK(said_by(model, prepend(cache_view<>(opened_keys, opened_values, file.frame(), as_written), {target})) ==
        expected);

  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  std::vector<cache_frame::shared_layer> layers;
  for (std::int64_t i = 0; i < 3; ++i) {  // the last two keys are cut: of the windowed layers' five, three are left
    const layer_view<> layer = kept.view().layer(i);
    const std::int64_t end = layer.size() - 2;
    keys.push_back(layer.keys().slice(2, 0, end).clone());
    values.push_back(layer.values().slice(2, 0, end).clone());
    layers.push_back(std::make_shared<layer_frame>(layer.frame().slice(0, end)));
  }
  cache_frame cut_frame(std::move(layers));
  cut_frame.set_origin(kept.stored().origin());
  cache cut(std::move(keys), std::move(values), std::move(cut_frame), as_written);
  CHECK(message_of<frame_error>([&] { plan_logits(model, prepend(cut.view(), {target})); }) ==
        "plan: layer 0: expected the last 5 keys that other layers hold, for its window of 6, got 3 keys, others or "
        "fewer");
  cache_frame taken_at_its_word = cut.target();
  cut.assume_frame(taken_at_its_word);
  CHECK_NOTHROW(plan_logits(model, prepend(cut.view(), {target})));
}
