#include "kvtransfer/project/project.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cache/known_cache.hpp"
#include "kvtransfer/inject/noise.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "kvtransfer/project/any_projector.hpp"
#include "kvtransfer/project/projectors/identity.hpp"
#include "kvtransfer/project/projectors/linear.hpp"
#include "kvtransfer/project/receiver_frame.hpp"
#include "project/finite_differences.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Adds one to every key and two to every value.
struct adding {
  static constexpr std::string_view name = "adding";
  std::int64_t count = 1;
  key_rotation kind = key_rotation::rotated;
  [[nodiscard]] projection_effect effect() const { return projection_effect::adds; }
  [[nodiscard]] key_rotation rotation() const { return kind; }
  [[nodiscard]] std::int64_t layers() const { return count; }
  [[nodiscard]] std::vector<std::int64_t> source_layers(std::int64_t layer) const {
    return layer == 0 ? std::vector<std::int64_t>{0} : std::vector<std::int64_t>{};
  }
  [[nodiscard]] layer_kv project(std::int64_t, const projection_input& input) const {
    return {input.receiver.keys.new_ones(input.receiver.keys.sizes()),
            input.receiver.values.new_full(input.receiver.values.sizes(), 2)};
  }
  [[nodiscard]] std::string digest() const { return "1"; }
};
static_assert(Projector<adding>);

/// One layer of heads 2·8 to heads 3·4, by random numbers.
projectors::linear random_linear(key_rotation rotation, bool by_head, std::uint64_t seed = 1) {
  const auto map = [&](std::uint64_t at) {
    return by_head ? linear_map{random_keys({3, 8, 4}, at::kDouble, at), random_keys({3, 4}, at::kDouble, at + 1)}
                   : linear_map{random_keys({1, 16, 12}, at::kDouble, at), random_keys({1, 12}, at::kDouble, at + 1)};
  };
  return {rotation, {2, 8}, {3, 4}, {{{1}, map(10 * seed), map(10 * seed + 5), by_head}}};
}

cache_frame frame_of(std::int64_t head_dim, std::int64_t first, std::int64_t count, double theta) {
  cache_frame frame = receiver_frame({plain_specification(head_dim, theta)}, position_map::consecutive(first, count),
                                     model_identity{.digest = "receiver"});
  return frame;
}

}  // namespace

TEST_CASE("an identity projector changes no logit", "[project]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(9)});
  const std::vector<std::int64_t> question = some_tokens(5, 3);
  const at::Tensor expected = plan_logits(model, prepend(source.view(), {question}));
  const projectors::identity same(3);
  const cache replaced = project(same, source.view(), source.view().frame());
  CHECK(at::equal(plan_logits(model, prepend(replaced.view(), {question})), expected));
  const cache receiver = prefill(model, {some_tokens(9)});
  const cache in_place = project(same, source.view(), receiver.view());
  CHECK(at::equal(plan_logits(model, prepend(in_place.view(), {question})), expected));
  const cache unrotated =
      project(any_projector(projectors::identity(3, key_rotation::unrotated)), source.view(), source.view().frame());
  CHECK(max_difference(plan_logits(model, prepend(unrotated.view(), {question})), expected) < 1e-4);
}

TEST_CASE("un-rotated, an identity moves keys to the receiver's positions and specification", "[project]") {
  const known_cache source = known_cache_of(1, 6);
  const cache_frame there = frame_of(known_head_dim, 40, 6, 500.0);
  const cache moved = project(projectors::identity(1, key_rotation::unrotated), source.kv.view(), there);
  CHECK(distance_from_written(moved.view().layer(0).keys(), source.plain[0], there.layer(0)) < 1e-9);
  CHECK(at::equal(moved.view().layer(0).values(), source.kv.view().layer(0).values()));
  CHECK(moved.view().frame().layer(0) == there.layer(0));
}

TEST_CASE("a projection stands in the receiver's frame and says from what it was made", "[project]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(4)});
  const cache noise = moment_matched_noise(source.view(), 7);
  cache_frame receiver = source.view().frame();
  receiver.set_origin(model_identity{.digest = "receiver"});
  const cache made = project(projectors::identity(3), noise.view(), receiver);
  CHECK(made.view().frame().model().digest == "receiver");
  CHECK(made.view().frame().token_ids() == receiver.token_ids());
  REQUIRE(made.view().frame().edits().size() == 2);
  CHECK(describe(made.view().frame().edits()[0]) == "noise in keys and values, layers 0-2, slots 0-3, from seed 7");
  CHECK(describe(made.view().frame().edits()[1]) ==
        "projected in keys and values, layers 0-2, slots 0-3, from identity rotated of a cache of model " +
            model.identity.digest.text());
  const cache_view<> assumed = source.view().assume_frame(source.view().frame());
  CHECK(project(projectors::identity(3), assumed, receiver).view().frame().assumed());
}

TEST_CASE("keys and values of one shape become those of another", "[project]") {
  for (const bool by_head : {false, true}) {
    const projectors::linear projector = random_linear(key_rotation::unrotated, by_head);
    const known_cache source = known_cache_of(2, 5, 2);
    const cache_frame there = receiver_frame({plain_specification(4, 300.0)}, position_map::consecutive(20, 5, 2),
                                             model_identity{.digest = "receiver"});
    const cache made = project(projector, source.kv.view(), there);
    const auto expected = [&](const linear_map& map, const at::Tensor& tensor) {  // element by element
      at::Tensor result = tensor.new_zeros({2, 3, 5, 4});
      for (std::int64_t head = 0; head < 3; ++head) {
        for (std::int64_t i = 0; i < 4; ++i) {
          at::Tensor sum = result.select(1, head).select(-1, i);
          sum += map.bias.flatten()[head * 4 + i];
          for (std::int64_t from = 0; from < 2; ++from) {
            for (std::int64_t j = 0; j < 8; ++j) {
              if (!by_head) {
                sum += tensor.select(1, from).select(-1, j) * map.weight[0][from * 8 + j][head * 4 + i];
              } else if (from == head * 2 / 3) {
                sum += tensor.select(1, from).select(-1, j) * map.weight[head][j][i];
              }
            }
          }
        }
      }
      return result;
    };
    const linear_layer& maps = projector.maps().front();
    CHECK(max_difference(made.view().layer(0).values(), expected(maps.values, source.kv.view().layer(1).values())) <
          1e-12);
    CHECK(distance_from_written(made.view().layer(0).keys(), expected(maps.keys, source.plain[1]), there.layer(0)) <
          1e-9);
  }
}

TEST_CASE("a projector that adds leaves other slots and layers as they are", "[project]") {
  const known_cache source = known_cache_of(1, 3);
  const known_cache receiver = known_cache_of(2, 6);
  const slot_pairs pairs = slot_pairs::spans({2, 3}, 0);
  const cache_view<> before = receiver.kv.view();
  cache shifted = source.kv.clone();
  shifted.shift(2);  // to where the receiver's slots 2 to 4 stand
  const cache sum = project(adding{2}, shifted.view(), before, pairs);
  const cache_view<> after = sum.view();
  CHECK(at::equal(after.layer(1).keys(), before.layer(1).keys()));
  const at::Tensor change = after.layer(0).keys() - before.layer(0).keys();
  CHECK(max_difference(change.slice(2, 2, 5), at::ones_like(change.slice(2, 2, 5))) < 1e-12);
  CHECK(at::equal(after.layer(0).keys().slice(2, 0, 2), before.layer(0).keys().slice(2, 0, 2)));
  CHECK(at::equal(after.layer(0).keys().slice(2, 5), before.layer(0).keys().slice(2, 5)));
  CHECK(max_difference(after.layer(0).values().slice(2, 2, 5), before.layer(0).values().slice(2, 2, 5) + 2) < 1e-12);
  REQUIRE(after.frame().edits().size() == 1);
  CHECK(describe(after.frame().edits()[0]) ==
        "projected in keys and values, layers 0, slots 2-4, from adding 1 of a cache of unknown origin");
  // What is added to un-rotated keys is rotated, and they are not touched: nothing is rounded that stays.
  const cache unrotated = project(adding{2, key_rotation::unrotated}, source.kv.view(), before, pairs);
  const at::Tensor ones = at::ones({1, 2, 3, known_head_dim}, at::kDouble);
  CHECK(distance_from_written((unrotated.view().layer(0).keys() - before.layer(0).keys()).slice(2, 2, 5), ones,
                              before.frame().layer(0).slice(2, 5)) < 1e-9);
}

TEST_CASE("the gradient of a projection is that of finite differences", "[project]") {
  const projectors::linear projector = random_linear(key_rotation::unrotated, true);
  const known_cache source = known_cache_of(2, 3);
  const cache_frame there = frame_of(4, 11, 3, 50.0);
  const at::Tensor wanted = random_keys({1, 3, 3, 4}, at::kDouble, 99);
  const auto loss_of = [&](const std::vector<at::Tensor>& inputs) {
    const linear_layer& maps = projector.maps().front();
    const projectors::linear changed(key_rotation::unrotated, {2, 8}, {3, 4},
                                     {{{1}, {inputs[0], inputs[1]}, {inputs[2], maps.values.bias}, true}});
    const cache_view<> whole = source.kv.view();
    const cache_view<> from({whole.layer(0).keys(), inputs[3]}, {whole.layer(0).values(), inputs[4]}, whole.frame());
    const cache made = project(changed, from, there);
    return (made.view().layer(0).keys() * wanted).sin().sum() + (made.view().layer(0).values() * wanted).square().sum();
  };
  const linear_layer& maps = projector.maps().front();
  CHECK(worst_gradient_error(loss_of, {maps.keys.weight, maps.keys.bias, maps.values.weight,
                                       source.kv.view().layer(1).keys(), source.kv.view().layer(1).values()}) < 1e-6);
}

TEST_CASE("a projection refuses what does not fit, by name", "[project]") {
  const known_cache source = known_cache_of(2, 5);
  const cache_view<> from = source.kv.view();
  const projectors::linear projector = random_linear(key_rotation::unrotated, false);
  const cache_frame there = frame_of(4, 0, 5, 300.0);
  const auto refusal = [](auto&& run) { return message_of<error>([&] { static_cast<void>(run()); }); };
  CHECK(refusal([&] { return project(projectors::identity(3), from, from.frame()); }) ==
        "project: layers: expected a projector for the receiver's 2 layers, got 3");
  CHECK(refusal([&] { return project(projector, from.slice(0, 4), there); }) ==
        "project: source layer 1: expected [batch=1, seq=5], as the receiver, got [batch=1, seq=4]");
  CHECK_THAT(refusal([&] { return project(projector, known_cache_of(1, 5).kv.view(), there); }),
             StartsWith("project: source layer: expected 0 <= source layer < 1, got 1"));
  CHECK(refusal([&] { return project(random_linear(key_rotation::rotated, false), from, frame_of(4, 1, 5, 3.0)); }) ==
        "project: source layer 1: expected keys rotated to the receiver's positions (or a projector of un-rotated "
        "keys), got keys at other positions");
  CHECK_THAT(refusal([&] {
               return project(projectors::identity(2), from, from.frame().transform([](layer_frame layer) {
                 layer.specifications = {known_specification(1.0, 50.0)};
                 return layer;
               }));
             }),
             StartsWith("projectors::identity: keys: expected keys rotated as the receiver's are"));
  CHECK(refusal([&] { return project(adding{1}, from, there); }) ==
        "project: receiver: expected a cache that adding adds to, got a frame alone");
  const known_cache wide = known_cache_in(cache_frame(2, from.frame().layer(0)), 3);
  CHECK_THAT(refusal([&] { return project(projector, wide.kv.view(), there); }),
             StartsWith("projectors::linear: source layer 1: keys: expected [batch, 2, seq, 8]"));
  CHECK_THAT(refusal([&] {
               return project(random_linear(key_rotation::rotated, false), from, known_cache_of(1, 5).kv.view());
             }),
             StartsWith("project: layer 0: what the projector gave: expected [1, 2, 5, 8]"));
  CHECK_THAT(refusal([&] { return project(projectors::identity(2), from, from, {{0, 1}, {0}}); }),
             StartsWith("project: pairs.source: expected 2 slots"));
  CHECK_THAT(refusal([&] { return project(projectors::identity(2), from, from, {{1, 0}, {0, 1}}); }),
             contains("rising slots"));
  CHECK_THAT(refusal([&] { return project(projectors::identity(2), from, from, {{0, 5}, {0, 1}}); }),
             contains("slot of the receiver < 5, got 5"));
  position_row padded = position_row::consecutive(0, 1, slot_state::padding());
  padded.append(position_row::consecutive(1, 4));
  const cache_frame gap = receiver_frame({plain_specification(4)}, position_map(padded), {});
  CHECK_THAT(refusal([&] { return project(projector, from, gap); }),
             contains("expected keys in the slots where the receiver has keys"));
  CHECK(refusal([] {
          return projectors::linear(key_rotation::rotated, {2, 8}, {3, 4},
                                    {{{0}, {at::zeros({1, 16, 11}), at::zeros({1, 12})}, {}, false}});
        }) == "layers.0: keys.weight: expected [1, 16, 12], got [1, 16, 11] Float on cpu");
}

TEST_CASE("projectors of other numbers have other digests", "[project]") {
  const std::string digest = random_linear(key_rotation::rotated, true).digest();
  CHECK(digest == random_linear(key_rotation::rotated, true).digest());
  CHECK(digest != random_linear(key_rotation::rotated, true, 2).digest());
  CHECK(digest != random_linear(key_rotation::unrotated, true).digest());
  CHECK(any_projector(random_linear(key_rotation::rotated, true)).digest() == "linear " + digest);
}
