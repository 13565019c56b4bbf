// What a model's files say of how a generation ends, against transformers (make_generation_fixtures.py).

#include <fstream>
#include <nlohmann/json.hpp>

#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "model/transformer_fixture.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

std::filesystem::path dynamic_folder() { return model_fixtures() / "dynamic-past-max-positions"; }

/// How many positions a model of 256 knows whose rotary parameters are `rope`.
std::optional<std::int64_t> limit_with(const nlohmann::json& rope) {
  nlohmann::json config = small_config();
  config.erase("rope_theta");
  config["rope_parameters"] = rope;
  return position_limit(model_config_from_json(config));
}

}  // namespace

TEST_CASE("the tokens that end a generation are those of transformers, whatever both files say",
          "[model][generation_files]") {
  std::ifstream stream(model_fixtures() / "generation_eos.json");
  const nlohmann::json cases = nlohmann::json::parse(stream);
  REQUIRE(cases.size() == 30);
  for (const nlohmann::json& expected : cases) {
    CAPTURE(expected.dump());
    const temporary_folder folder;
    nlohmann::json config = small_config();
    config.update(expected.at("config"));
    folder.put("config.json", config.dump());
    if (!expected.at("generation_config").is_null()) {
      folder.put("generation_config.json", expected.at("generation_config").dump());
    }
    CHECK(read_model_config(folder.path()).eos_token_ids == expected.at("eos").get<std::vector<std::int64_t>>());
  }
}

TEST_CASE("dynamic scaling goes on past max_position_embeddings as in transformers", "[model][generation_files]") {
  const causal_lm model = causal_lm::open(dynamic_folder(), at::kCPU, at::kFloat);
  const safetensors_file expected = safetensors_file::open(dynamic_folder() / "expected.safetensors");
  CHECK(model.config.max_position_embeddings == 16);
  CHECK_FALSE(position_limit(model.config));
  const plan prompt = plan_of({to_list(expected.tensor("prompt.ids"))});
  const completion made = generate(model, prompt, {.max_new_tokens = 40}).sequences.front();
  CHECK(made.token_ids == to_list(expected.tensor("prompt.greedy")));
  CHECK(made.stop == stop_reason::length);
  const at::Tensor logits = plan_logits(model, plan_of({to_list(expected.tensor("long.ids"))}))[0];
  const at::Tensor reference = expected.tensor("long.logits");
  CHECK(max_difference(logits, reference) < 1e-4 * reference.abs().max().item<double>());
}

TEST_CASE("a rotary type says how far a model reaches past its max_position_embeddings", "[model][generation_files]") {
  CHECK(limit_with({{"rope_type", "default"}, {"rope_theta", 10000.0}}) == 256);
  CHECK_FALSE(limit_with({{"rope_type", "dynamic"}, {"rope_theta", 10000.0}, {"factor", 2.0}}));
  CHECK(limit_with({{"rope_type", "linear"}, {"rope_theta", 10000.0}, {"factor", 4.0}}) == 1024);
  const auto yarn = [](double original) {
    return nlohmann::json{{"rope_type", "yarn"},
                          {"rope_theta", 10000.0},
                          {"factor", 4.0},
                          {"original_max_position_embeddings", original}};
  };
  CHECK(limit_with(yarn(256)) == 1024);
  CHECK(limit_with(yarn(64)) == 256);
  CHECK(limit_with(yarn(32)) == 256);  // never less than the file says
  CHECK(limit_with({{"rope_type", "llama3"},
                    {"rope_theta", 10000.0},
                    {"factor", 8.0},
                    {"low_freq_factor", 1.0},
                    {"high_freq_factor", 4.0},
                    {"original_max_position_embeddings", 64}}) == 256);
}

TEST_CASE("a text may be as long as its rotary type reaches, and not longer", "[model][generation_files]") {
  nlohmann::json config = small_config();
  config["max_position_embeddings"] = 8;
  config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2.0}};
  const causal_lm model = small_model(1, config);
  const completion made = generate(model, plan_of({some_tokens(5)}), {.max_new_tokens = 40}).sequences.front();
  CHECK(made.token_ids.size() == 12);  // eleven are read at positions 5 to 15, the twelfth is only chosen
  CHECK(made.stop == stop_reason::positions);
  CHECK(message_of<value_error>([&] { plan_logits(model, plan_of({some_tokens(17)})); }) ==
        "plan: positions: expected below 16 (max_position_embeddings = 8), got 16");
}

TEST_CASE("the reasons why a generation ends have names, and names have reasons", "[model][generation_files]") {
  for (const stop_reason reason : {stop_reason::eos, stop_reason::length, stop_reason::positions}) {
    CHECK(stop_reason_named(to_string(reason)) == reason);
  }
  CHECK(to_string(stop_reason::positions) == "positions");
  CHECK_FALSE(stop_reason_named("tired"));
}
