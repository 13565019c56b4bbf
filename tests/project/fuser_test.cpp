#include "kvtransfer/project/projectors/fuser.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/equal.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cache/known_cache.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "kvtransfer/project/layer_alignment.hpp"
#include "kvtransfer/project/project.hpp"
#include "kvtransfer/project/projector_file.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "project/finite_differences.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

constexpr fuser_shape small_shape{{2, 16}, {2, 16}, 12, 10, 2};

/// A fuser whose every layer was changed by `change(name, tensor)`, float64.
template <class Change>
projectors::fuser changed(const projectors::fuser& source, Change change) {
  std::vector<fuser_layer> layers = source.weights();
  detail::for_each_fuser_tensor(layers, source.shape(), [&](const std::string& name, at::Tensor& tensor, const auto&) {
    tensor = change(name, tensor.to(at::kDouble));
  });
  return {source.rotation(), source.shape(), source.schedule(), std::move(layers)};
}

projectors::fuser with_gates(const projectors::fuser& source, double logit) {
  return changed(source, [&](const std::string& name, const at::Tensor& tensor) {
    return name.ends_with("gate_logit") ? tensor.new_full({}, logit) : tensor;
  });
}

}  // namespace

TEST_CASE("a fuser equals Cache-to-Cache's own class", "[project][fuser]") {
  const std::string folder = KVT_SOURCE_DIR "/tests/project/fixtures/c2c";
  const auto stored = open_fuser(folder);
  const safetensors_file fixture = safetensors_file::open(folder + "/expected.safetensors");
  const projectors::fuser& projector = stored.projector;
  CHECK(projector.source_layers(0).empty());
  CHECK(projector.source_layers(1) == std::vector<std::int64_t>{2});
  CHECK(projector.source_layers(2) == std::vector<std::int64_t>{3});
  for (const std::int64_t layer : {1, 2}) {
    const auto pair = [&](const std::string& kind) {
      const std::string name = fmt::format("{}.{}.", kind, layer);
      return layer_kv{fixture.tensor(name + "keys"), fixture.tensor(name + "values")};
    };
    const layer_kv receiver = pair("receiver");
    const layer_kv added = projector.project(layer, {{pair("source")}, {}, receiver, {}});
    const layer_kv expected = pair("expected");
    // Of the largest element: processors sum in other orders.
    CHECK(max_difference(receiver.keys + added.keys, expected.keys) < 1e-5 * expected.keys.abs().max().item<double>());
    CHECK(max_difference(receiver.values + added.values, expected.values) <
          1e-5 * expected.values.abs().max().item<double>());
    CHECK(max_difference(receiver.keys, pair("expected").keys) > 0.1);
    CHECK((max_difference(receiver.values, pair("expected").values) > 0.1) == (layer == 1));
  }
}

TEST_CASE("a fuser whose gates are shut changes no logit", "[project][fuser]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(9, 5)});
  const cache receiver = prefill(model, {some_tokens(9)});
  const std::vector<std::int64_t> question = some_tokens(5, 3);
  const auto logits_after = [&](const cache_view<>& context) {
    return plan_logits(model, prepend(context, {question}));
  };
  for (const key_rotation rotation : {key_rotation::rotated, key_rotation::unrotated}) {
    const auto fresh = projectors::fuser::random(rotation, small_shape, {}, align_last_layers(3, 3), 1);
    const cache shut = project(fresh, source.view(), receiver.view());
    CHECK(at::equal(logits_after(shut.view()), logits_after(receiver.view())));
    const cache open = project(with_gates(fresh, 0.1), source.view(), receiver.view());
    CHECK(max_difference(logits_after(open.view()), logits_after(receiver.view())) > 1e-3);
  }
}

TEST_CASE("a fuser's gradients are those of finite differences, in training and after", "[project][fuser]") {
  const bool wide = GENERATE(false, true);  // several layers and slots of the source
  const fuser_shape shape{{2, 8}, {2, 8}, 6, 5, 2, wide ? 2 : 1};
  const layer_alignment aligned = wide ? layer_alignment{{1, 0}} : layer_alignment{{1}};
  const projectors::fuser open =
      with_gates(projectors::fuser::random(key_rotation::unrotated, shape, {1.0, 0.5, 10, 0.2}, aligned, 4), 0.3);
  const known_cache source = known_cache_of(2, 3);
  const known_cache receiver = known_cache_of(1, 3);
  const at::Tensor wanted = random_keys({1, 2, 3, 8}, at::kDouble, 99);
  std::vector<at::Tensor> gates;
  std::vector<at::Tensor> others;
  open.for_each_tensor([&](const std::string& name, const at::Tensor& tensor) {
    (name.ends_with("gate_logit") ? gates : others).push_back(tensor);
  });
  const auto loss_of = [&](const std::vector<at::Tensor>& inputs, bool training) {
    std::size_t next = 0;
    std::size_t next_gate = inputs.size() - 2;
    projectors::fuser tried = changed(open, [&](const std::string& name, const at::Tensor&) {
      return name.ends_with("gate_logit") ? inputs[next_gate++] : inputs[next++];
    });
    if (training) {
      tried = tried.in_training(3, at::make_generator<at::CPUGeneratorImpl>(8));
    }
    const cache_view<> whole = source.kv.view();
    const cache_view<> from({whole.layer(0).keys(), inputs[next]}, {whole.layer(0).values(), inputs[next + 1]},
                            whole.frame());
    const cache fused = project(tried, from, receiver.kv.view());
    const cache_view<> made = fused.view();
    return (made.layer(0).keys() * wanted).sin().sum() + (made.layer(0).values() * wanted).cos().sum();
  };
  others.push_back(source.kv.view().layer(1).keys());
  others.push_back(source.kv.view().layer(1).values());
  const auto after_training = [&](std::vector<at::Tensor> inputs) {  // a hard gate has no gradient
    inputs.insert(inputs.end(), gates.begin(), gates.end());
    return loss_of(inputs, false);
  };
  CHECK(worst_gradient_error(after_training, others) < 1e-6);
  others.insert(others.end(), gates.begin(), gates.end());
  CHECK(worst_gradient_error([&](const auto& inputs) { return loss_of(inputs, true); }, others) < 1e-6);
}

TEST_CASE("a fuser of several slots reads those before a token, and none behind it", "[project][fuser]") {
  const projectors::fuser open =
      with_gates(projectors::fuser::random(key_rotation::rotated, {{2, 8}, {2, 8}, 6, 5, 1, 2}, {}, {{0}}, 4), 0.3);
  const known_cache source = known_cache_of(1, 5);
  const known_cache receiver = known_cache_of(1, 5);
  const at::Tensor keys = source.kv.view().layer(0).keys();
  const auto fused = [&](const at::Tensor& read) {
    const cache_view<> from({read}, {source.kv.view().layer(0).values()}, source.kv.view().frame());
    const cache made = project(open, from, receiver.kv.view());
    return made.view().layer(0).keys().clone();
  };
  at::Tensor other = keys.clone();
  other.select(2, 2).add_(1);
  const at::Tensor change = (fused(other) - fused(keys)).abs().amax({0, 1, 3});
  CHECK(change[0].item<double>() == 0);
  CHECK(change[1].item<double>() == 0);
  CHECK(change[2].item<double>() > 1e-6);
  CHECK(change[3].item<double>() > 1e-6);
  CHECK(change[4].item<double>() == 0);
}

TEST_CASE("a temperature falls by a constant factor a step, and then stays", "[project][fuser]") {
  const fuser_schedule schedule{1.0, 0.01, 100, 0.1};
  CHECK(schedule.temperature(0) == 1.0);
  CHECK(schedule.temperature(50) == Approx(0.1));
  CHECK(schedule.temperature(100) == Approx(0.01));
  CHECK(schedule.temperature(5000) == Approx(0.01));
}

TEST_CASE("training draws by its generator alone, and a low temperature makes gates hard", "[project][fuser]") {
  const known_cache source = known_cache_of(1, 4);
  const known_cache receiver = known_cache_of(1, 4);
  const auto fresh =
      projectors::fuser::random(key_rotation::rotated, {{2, 8}, {2, 8}, 6, 5, 1}, {1.0, 1e-6, 10, 0.0}, {{0}}, 4);
  const auto added = [&](double logit, std::int64_t step, std::uint64_t seed) {
    const auto trained = with_gates(fresh, logit).in_training(step, at::make_generator<at::CPUGeneratorImpl>(seed));
    const cache_view<> from = source.kv.view();
    const cache fused = project(trained, from, receiver.kv.view());
    return fused.view().layer(0).keys() - receiver.kv.view().layer(0).keys();
  };
  CHECK(at::equal(added(0, 0, 1), added(0, 0, 1)));
  CHECK_FALSE(at::equal(added(0, 0, 1), added(0, 0, 2)));
  const auto hard = [&](double logit) {
    const cache_view<> from = source.kv.view();
    const cache fused = project(with_gates(fresh, logit), from, receiver.kv.view());
    return fused.view().layer(0).keys() - receiver.kv.view().layer(0).keys();
  };
  CHECK(max_difference(added(40, 10, 1), hard(40)) < 1e-9);
  CHECK(max_difference(added(-40, 10, 1), hard(-40)) < 1e-9);
}

TEST_CASE("a fuser refuses weights and caches of other shapes, by name", "[project][fuser]") {
  const auto fresh = projectors::fuser::random(key_rotation::rotated, small_shape, {}, {{0}}, 1);
  CHECK_THAT(message_of<shape_error>([&] {
               changed(fresh, [](const std::string& name, const at::Tensor& tensor) {
                 return name == "layers.0.value_scalar_head.weight" ? tensor.slice(0, 1) : tensor;
               });
             }),
             StartsWith("projectors::fuser: layers.0.value_scalar_head.weight: expected [2, 12], got [1, 12]"));
  CHECK_THAT(message_of<value_error>([] {
               projectors::fuser::random(key_rotation::rotated, {{2, 16}, {2, 16}, 5, 5, 1, 0}, {}, {{0}}, 1);
             }),
             contains("source_slots: expected 1 or more, got 0"));
  CHECK_THAT(message_of<value_error>(
                 [] { projectors::fuser::random(key_rotation::rotated, {{2, 16}, {2, 16}, 0, 1, 1}, {}, {{0}}, 1); }),
             contains("hidden_size: expected 1 or more, got 0"));
  CHECK_THAT(message_of<value_error>(
                 [] { projectors::fuser::random(key_rotation::rotated, small_shape, {1.0, 0.0, 10, 0.1}, {{0}}, 1); }),
             contains("final_temperature: expected above 0, got 0"));
  const known_cache narrow = known_cache_of(1, 3);  // head_dim 8
  CHECK_THAT(message_of<shape_error>([&] { static_cast<void>(project(fresh, narrow.kv.view(), narrow.kv.view())); }),
             StartsWith("projectors::fuser: source layer 0: keys: expected [batch, 2, seq, 16]"));
}
