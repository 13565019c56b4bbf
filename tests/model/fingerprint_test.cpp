#include "model/fingerprint.hpp"

#include <string>

#include "kvtransfer/model/weights.hpp"
#include "model/transformer_fixture.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::detail::model_fingerprint;
using kvtransfer::test::model_fixtures;

namespace {

std::string fingerprint_in(const std::string& name, at::ScalarType dtype) {
  const auto folder = model_fixtures() / name;
  const model_config config = read_model_config(folder);
  return model_fingerprint(config, load_weights(folder, config, at::kCPU, dtype));
}

}  // namespace

TEST_CASE("a model has one fingerprint in every precision", "[model][fingerprint]") {
  for (const std::string& name : test::transformer_fixture_names()) {
    CAPTURE(name);
    const std::string fingerprint = fingerprint_in(name, at::kFloat);
    CHECK(fingerprint_in(name, at::kHalf) == fingerprint);
    CHECK(fingerprint_in(name, at::kBFloat16) == fingerprint);
    CHECK(fingerprint_in(name, at::kDouble) == fingerprint);
  }
}

TEST_CASE("a fingerprint is readable and the same on every machine", "[model][fingerprint]") {
  CHECK_THAT(fingerprint_in("gqa-tied-fp32", at::kFloat), test::StartsWith("LlamaForCausalLM-3x32-"));
}

TEST_CASE("another configuration or other weights have another fingerprint", "[model][fingerprint]") {
  const model_config config = read_model_config(model_fixtures() / "gqa-tied-fp32");
  const model_weights weights = random_weights(config, 1, 0.1);
  const std::string fingerprint = model_fingerprint(config, weights);
  CHECK(model_fingerprint(config, random_weights(config, 1, 0.1)) == fingerprint);
  CHECK(model_fingerprint(config, random_weights(config, 2, 0.1)) != fingerprint);
  model_config other = config;
  other.rms_norm_eps = 1e-5;
  CHECK(model_fingerprint(other, weights) != fingerprint);
}

TEST_CASE("a small step of fine-tuning changes the fingerprint", "[model][fingerprint]") {
  const model_config config = read_model_config(model_fixtures() / "gqa-tied-fp32");
  model_weights weights = random_weights(config, 1, 0.02);
  const std::string before = model_fingerprint(config, weights);
  const model_weights step = random_weights(config, 2, 1e-3);
  weights.layers[1].v_proj.dense().add_(step.layers[1].v_proj.dense());
  CHECK(model_fingerprint(config, weights) != before);
}
