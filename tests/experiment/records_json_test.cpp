#include "experiment/records_json.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experiment/record_line.hpp"
#include "experiment/sample_results.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

std::vector<std::string> keys_of(const nlohmann::ordered_json& object) {
  std::vector<std::string> keys;
  for (const auto& field : object.items()) {
    keys.push_back(field.key());
  }
  return keys;
}

using names = std::vector<std::string>;

}  // namespace

TEST_CASE("the results file has the schema's fields in its order", "[experiment][records_json]") {
  const nlohmann::ordered_json document = to_json_value(sample_results());
  CHECK(keys_of(document) ==
        names{"schema_version", "program", "cost", "model", "settings", "suite", "left_out", "tests"});
  CHECK(document["schema_version"] == 2);
  CHECK(keys_of(document["program"]) == names{"version", "commit", "command", "date", "libtorch", "device", "dtype",
                                              "quantization", "threads", "seconds"});
  CHECK(keys_of(document["model"]) == names{"path", "architecture", "layers", "hidden_size", "q_heads", "kv_heads",
                                            "head_dim", "vocab_size", "rope", "digest", "tokenizer_digest"});
  CHECK(keys_of(document["settings"]) == names{"model", "device", "dtype", "quantize", "threads", "prompt_form",
                                               "system", "suite", "conditions", "factors", "sweep", "trials",
                                               "temperature", "seed", "max_new_tokens", "output", "resume", "margin"});
  CHECK(keys_of(document["tests"][0]) == names{"name", "source", "target", "markers", "conditions"});
  CHECK(keys_of(document["tests"][0]["conditions"]) == names{"text_oracle", "transfer", "as_reported_transfer"});
}

TEST_CASE("a condition has its trials and what follows from them", "[experiment][records_json]") {
  results run = sample_results();
  run.tests[0].conditions[1].trials[0].token_ids[2] = 8;
  const nlohmann::ordered_json document = to_json_value(run);
  const nlohmann::ordered_json& transfer = document["tests"][0]["conditions"]["transfer"];
  CHECK(transfer["trials"].size() == 1);
  CHECK(transfer["marker_rates"]["Lyra"] == nlohmann::ordered_json{{"count", 1}, {"trials", 1}, {"rate", 1.0}});
  CHECK(transfer["stalled_rate"]["count"] == 0);
  CHECK(transfer["comparison"]["reference"] == "text_oracle");
  CHECK(transfer["comparison"]["first_divergence"] ==
        nlohmann::ordered_json{{"trial", 0}, {"step", 2}, {"token", 8}, {"reference_token", 7}, {"top2_margin", 0.5}});
  CHECK(transfer["trials"][0]["read"][1]["role"] == "source");
  CHECK(transfer["assumed_frame"] == false);
  CHECK(transfer["edits"].size() == transfer["trials"].size());
  CHECK(transfer["origin"] == "recorded");
  run.tests[0].conditions[1].trials[0].origin = origin_basis::unknown_origin;
  CHECK(to_json_value(run)["tests"][0]["conditions"]["transfer"]["origin"] == "unknown_origin");
}

TEST_CASE("intervals are given where trials are draws", "[experiment][records_json]") {
  results run = sample_results();
  run.settings.temperature = 1.0;
  const nlohmann::ordered_json document = to_json_value(run);
  CHECK(document["tests"][0]["conditions"]["transfer"]["marker_rates"]["Lyra"].contains("wilson_95"));
}

TEST_CASE("a condition that is not applicable says why and has no trials", "[experiment][records_json]") {
  results run = sample_results();
  run.tests[0].conditions[2] = {"as_reported_transfer", "no BOS", {}};
  const nlohmann::ordered_json document = to_json_value(run);
  CHECK(document["tests"][0]["conditions"]["as_reported_transfer"] ==
        nlohmann::ordered_json{{"trials", nlohmann::ordered_json::array()}, {"not_applicable", "no BOS"}});
}

TEST_CASE("trials are of one run where nothing differs that could change a number, wherever its files lie",
          "[experiment][records_json]") {
  const results run = sample_results();
  results elsewhere = run;
  elsewhere.settings.output = "other";
  elsewhere.settings.model = "moved/here";
  elsewhere.model.path = "/moved/here";
  elsewhere.settings.resume = true;
  CHECK(run_columns(elsewhere) == run_columns(run));
  elsewhere.settings.seed = 1;
  elsewhere.settings.trials = 7;
  elsewhere.settings.conditions.clear();
  elsewhere.tests[0].test.source += "!";
  CHECK(run_columns(elsewhere) == run_columns(run));
  results other_temperature = run;
  other_temperature.settings.temperature = 1;
  CHECK(run_columns(other_temperature) != run_columns(run));
  results other_weights = run;
  other_weights.model.identity.digest = "abd";
  CHECK(run_columns(other_weights) != run_columns(run));
  for (const auto& change : std::vector<void (*)(model_info&)>{
           [](model_info& model) { model.identity.tokenizer = "other"; },
           [](model_info& model) { model.identity.quantization = "nf4"; },
           [](model_info& model) { model.identity.adapter = "other"; },
           [](model_info& model) { model.identity.configuration["rms_norm_eps"] = "1"; },
           [](model_info& model) { model.identity.rotary["factor"] = "2"; },
           [](model_info& model) { model.bos_token_id = 77; },
           [](model_info& model) { model.eos_token_ids.push_back(77); },
           [](model_info& model) { model.max_position_embeddings = 7; },
       }) {
    results changed = run;
    change(changed.model);
    CHECK(run_columns(changed) != run_columns(run));
  }
}
