// Every family against the keys that its own transformers model caches (fixtures/, written by make_fixtures.py).

#include <bit>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "kvtransfer/rope/move_tensor.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "rope/family_fixture.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

/// Steps between two floats of one sign.
std::int64_t ulps_between(float a, float b) {
  return std::abs(static_cast<std::int64_t>(std::bit_cast<std::int32_t>(a)) - std::bit_cast<std::int32_t>(b));
}

void check_regime(const rotary_specification& ours, const nlohmann::json& theirs) {
  const std::vector<float> expected = family_fixtures::get().frequencies(theirs.at("inv_freq"));
  REQUIRE(ours.inv_freq.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(ulps_between(ours.inv_freq[i], expected[i]) <= 2);
  }
  CHECK(ours.attention_scaling == Approx(theirs.at("attention_scaling").get<double>()).epsilon(1e-12));
}

rope::options options_for(const nlohmann::json& family, std::size_t layer, rope::angle_mode angles) {
  rope::options how{.angles = angles};
  if (family.contains("norm_weights")) {
    how.norm_weight = family_fixtures::get().tensor(family.at("norm_weights").at(layer));
  }
  return how;
}

}  // namespace

TEST_CASE("frequencies and attention scaling of every family are those of transformers", "[rope][families]") {
  for (const nlohmann::json& family : family_fixtures::get().families()) {
    INFO(family.at("name"));
    const std::vector<rotary_embedding> embeddings = rotary_embeddings_from_config(family.at("config"));
    const nlohmann::json& every_layer = family.at("every_layer");
    REQUIRE(embeddings.size() == every_layer.at("layers").size());
    for (std::size_t layer = 0; layer < embeddings.size(); ++layer) {
      INFO("layer " << layer);
      const nlohmann::json& theirs = every_layer.at("layers").at(layer);
      REQUIRE(embeddings[layer].rotates() == theirs.at("rotates").get<bool>());
      if (embeddings[layer].rotates()) {
        check_regime(embeddings[layer].at(every_layer.at("length")), theirs);
      }
    }
  }
}

TEST_CASE("the first layer's keys land where transformers writes them, at any position below 1M", "[rope][families]") {
  for (const nlohmann::json& family : family_fixtures::get().families()) {
    INFO(family.at("name"));
    const rotary_embedding embedding = rotary_embeddings_from_config(family.at("config")).front();
    const nlohmann::json& from = family.at("layer0").at("from");
    const nlohmann::json& to = family.at("layer0").at("to");
    const at::Tensor p = fixture_positions(from.at("positions"));
    const at::Tensor q = fixture_positions(to.at("positions"));
    rotary_specification written = cached_specification(embedding, p.max().item<std::int64_t>() + 1);
    rotary_specification wanted = cached_specification(embedding, q.max().item<std::int64_t>() + 1);
    check_regime(written, from);
    check_regime(wanted, to);
    // One ulp of a frequency is 0.06 rad at a million tokens, so that another CPU needs the bits of the one that wrote
    // the keys.
    written.inv_freq = family_fixtures::get().frequencies(from.at("inv_freq"));
    wanted.inv_freq = family_fixtures::get().frequencies(to.at("inv_freq"));
    const at::Tensor moved = rope::reframe(family_fixtures::get().tensor(from.at("keys")), p, written, q, wanted,
                                           options_for(family, 0, rope::angle_mode::model_faithful));
    CHECK(worst_relative_error(moved, family_fixtures::get().tensor(to.at("keys"))) <= 2e-6);
  }
}

TEST_CASE("every layer's keys are translated exactly in a float64 copy of the model", "[rope][families]") {
  for (const nlohmann::json& family : family_fixtures::get().families()) {
    const nlohmann::json& every_layer = family.at("every_layer");
    const std::vector<rotary_embedding> embeddings = rotary_embeddings_from_config(family.at("config"));
    // A weighted norm after RoPE makes attention depend on more than differences of positions: only the first layer is
    // invariant.
    const std::size_t invariant_layers = family.contains("norm_weights") ? 1 : embeddings.size();
    for (std::size_t layer = 0; layer < invariant_layers; ++layer) {
      INFO(family.at("name") << ", layer " << layer);
      const nlohmann::json& theirs = every_layer.at("layers").at(layer);
      rotary_specification specification = cached_specification(embeddings[layer], every_layer.at("length"));
      if (specification.rotates()) {
        specification.inv_freq = family_fixtures::get().frequencies(theirs.at("inv_freq"));
      }
      const at::Tensor moved =
          rope::shift(family_fixtures::get().tensor(theirs.at("from")), every_layer.at("delta").get<std::int64_t>(),
                      specification, options_for(family, layer, rope::angle_mode::exact));
      CHECK(worst_relative_error(moved, family_fixtures::get().tensor(theirs.at("to"))) <= 1e-9);
    }
  }
}

}  // namespace kvtransfer::test
