#include "experiment/trial_json.hpp"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "experiment/sample_results.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

trial_record through_json(const trial_record& trial) {
  const nlohmann::json read = nlohmann::json::parse(json_text(full_json(trial)));
  return read_trial(json_reader(read, "f"));
}

}  // namespace

TEST_CASE("a trial comes back from JSON as it went", "[experiment][trial_json]") {
  trial_record trial = sample_results().tests[0].conditions[0].trials[0];
  trial.seed = std::numeric_limits<std::uint64_t>::max();
  trial.assumed_frame = true;
  trial.edits = {"noise in keys, layers 0-1, slots 3, from seed 7"};
  trial.origin = origin_basis::same_weights;
  trial.read.push_back({token_role::noise, 3, true, {}, {{13, 2}, {40, 1}}});
  CHECK(through_json(trial) == trial);
  trial.stop = stop_reason::length;
  CHECK(through_json(trial) == trial);
}

TEST_CASE("the results file's trial has the schema's fields, and lists what was read part by part",
          "[experiment][trial_json]") {
  std::vector<std::string> keys;
  const nlohmann::ordered_json value = to_json_value(sample_results().tests[0].conditions[0].trials[0]);
  for (const auto& field : value.items()) {
    keys.push_back(field.key());
  }
  CHECK(keys ==
        std::vector<std::string>{"seed", "token_ids", "text", "markers_found", "stop_reason", "stalled", "read"});
  CHECK(value["read"][1] == nlohmann::ordered_json{{"role", "source"},
                                                   {"tokens", 3},
                                                   {"injected", true},
                                                   {"token_ids", {5, 6, 7}},
                                                   {"positions", nlohmann::ordered_json::array({{8, 3}})}});
  CHECK(value["stop_reason"] == "eos");
}

TEST_CASE("margins that are no numbers and bytes that are no text survive as such", "[experiment][trial_json]") {
  trial_record trial = sample_results().tests[0].conditions[0].trials[0];
  trial.top2_margins = {std::numeric_limits<double>::infinity(), 1.5};
  trial.text = "a\xFF";
  const trial_record read = through_json(trial);
  CHECK(std::isnan(read.top2_margins[0]));
  CHECK(read.top2_margins[1] == 1.5);
  CHECK(read.text == "a\uFFFD");
}

TEST_CASE("a trial with a wrong field is refused", "[experiment][trial_json]") {
  const auto complaint = [](const char* field, const nlohmann::json& value) {
    nlohmann::json trial =
        nlohmann::json::parse(json_text(full_json(sample_results().tests[0].conditions[0].trials[0])));
    trial[field] = value;
    return message_of<file_error>([&] { read_trial(json_reader(trial, "f")); });
  };
  CHECK(complaint("stop_reason", "tired") ==
        "f: stop_reason: expected \"eos\", \"length\" or \"positions\", got \"tired\"");
  CHECK(complaint("seed", -1) == "f: seed: expected an integer, 0 or more, got -1");
  CHECK(complaint("top2_margins", {"x"}) == "f: top2_margins: expected a list of numbers, got \"x\"");
  CHECK(complaint("read", {{{"role", "lunch"}, {"tokens", 1}, {"injected", true}}}) ==
        "f: read[0].role: expected a role of tokens, got \"lunch\"");
}
