#include "model/identity.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::detail::configuration_of;
using kvtransfer::detail::rotary_of;
using kvtransfer::test::small_config;

namespace {

model_identity::values configuration(const nlohmann::json& json) {
  return configuration_of(model_config_from_json(json));
}

/// Of a file with a key that this library does not know yet.
model_identity::values future_configuration(const std::string& key, const nlohmann::json& value) {
  model_config config = model_config_from_json(small_config());
  nlohmann::json raw = small_config();
  raw[key] = value;
  config.raw = raw.dump();
  return configuration_of(config);
}

model_identity::values rotary(const nlohmann::json& json) { return rotary_of(model_config_from_json(json)); }

nlohmann::json with(const std::string& key, const nlohmann::json& value) {
  nlohmann::json json = small_config();
  json[key] = value;
  return json;
}

}  // namespace

TEST_CASE("keys that change no number are no part of a configuration, and their order is none", "[model][identity]") {
  const auto plain = configuration(small_config());
  for (const char* key : {"torch_dtype", "dtype", "_name_or_path", "transformers_version"}) {
    CHECK(configuration(with(key, "other")) == plain);
  }
  CHECK(configuration(with("use_cache", false)) == plain);
  CHECK(configuration(with("eos_token_id", 7)) == plain);
  nlohmann::ordered_json backwards;
  const nlohmann::json json = small_config();
  for (auto member = json.rbegin(); member != json.rend(); ++member) {
    backwards[member.key()] = *member;
  }
  CHECK(configuration(nlohmann::json::parse(backwards.dump())) == plain);
}

TEST_CASE("every other key counts, known or not, by its value and not by how it is spelled", "[model][identity]") {
  const auto plain = configuration(small_config());
  CHECK(configuration(with("rms_norm_eps", 1e-5)).at("rms_norm_eps") == "1e-05");
  CHECK(configuration(with("rms_norm_eps", 0.000001)) == plain);
  CHECK(configuration(with("attention_bias", true)) != plain);
  CHECK(configuration(with("attention_bias", false)) == plain);  // what a missing key means
  CHECK(configuration(with("attention_bias", nullptr)) == plain);
  CHECK(future_configuration("of_the_future", 3).at("of_the_future") == "3");
  CHECK(future_configuration("of_the_future", 3.0) == future_configuration("of_the_future", 3));
  CHECK(future_configuration("nested", {{"a", {{"b", true}}}, {"c", {1, "x"}}}).at("nested.a.b") == "true");
  CHECK(future_configuration("nested", {{"c", {1, "x"}}}).at("nested.c") == "[1, x]");
}

TEST_CASE("a configuration changed in memory counts as changed", "[model][identity]") {
  model_config config = model_config_from_json(small_config());
  const auto before = configuration_of(config);
  config.rms_norm_eps = 1e-5;
  CHECK(configuration_of(config) != before);
}

TEST_CASE("rotary parameters count by value, however a file spells them", "[model][identity]") {
  const auto plain = rotary(small_config());
  CHECK(plain.at("rope_theta") == "10000");
  nlohmann::json nested = small_config();
  nested.erase("rope_theta");
  nested["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 10000}};
  CHECK(rotary(nested) == plain);
  CHECK(configuration(nested) == configuration(small_config()));
  CHECK(rotary(with("rope_theta", 10001)) != plain);
  CHECK(rotary(with("max_position_embeddings", 512)) == plain);
  const auto dynamic = [](double factor, std::int64_t trained) {
    nlohmann::json json = with("rope_scaling", {{"rope_type", "dynamic"}, {"factor", factor}});
    json["max_position_embeddings"] = trained;
    return rotary(json);
  };
  CHECK(dynamic(2, 256) != dynamic(4, 256));
  CHECK(dynamic(2, 256) != dynamic(2, 512));  // where frequencies depend on it
}

TEST_CASE("layers that rotate in their own way are told apart", "[model][identity]") {
  model_config config = model_config_from_json(small_config());
  const auto alike = rotary_of(config);
  config.rotary[1] = model_config_from_json(with("rope_theta", 5e5)).rotary.front();
  const auto unlike = rotary_of(config);
  CHECK(alike.count("layers") == 0);
  CHECK(unlike.at("layers") == "0 1 0");
  CHECK(unlike.at("1.rope_theta") == "500000");
  config.rotary[1] = rotary_embedding();
  CHECK(rotary_of(config).at("1.rope_type") == "none");
}
