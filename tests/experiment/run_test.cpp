#include "kvtransfer/experiment/run.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "experiment/json_alike.hpp"
#include "experiment/records_json.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/experiment/condition_registry.hpp"
#include "kvtransfer/experiment/model_info.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// The fixture's SentencePiece model, whose rule puts BOS in front.
any_tokenizer sentencepiece_with_bos() {
  const temporary_folder folder;
  folder.put("tokenizer.model", read_text(KVT_SOURCE_DIR "/tests/model/fixtures/tokenizer/tokenizer.model"));
  return open_tokenizer(folder.path());
}

/// A random model that reads text, and what one needs to run a suite of two tests on it.
struct small_experiment {
  static nlohmann::json config() {
    nlohmann::json config = small_config();
    config["vocab_size"] = 360;
    return config;
  }

  causal_lm model = small_model(1, config());
  prompt_encoding encoding{sentencepiece_with_bos()};
  suite tests{"two",
              "",
              "",
              {{"a", "My name is Lyra.", "What is your name?", {"Lyra"}, {}, {}, {}},
               {"b", "It is blue.", "What colour?", {"blue"}, {}, {}, {}}}};
  std::vector<any_condition> conditions = condition_registry::standard().parse("matrix");
  run_settings settings;
  temporary_folder folder;

  small_experiment() { settings.max_new_tokens = 6; }

  results plan() const { return planned_run(tests, conditions, settings, {}, make_model_info(model, "small")); }

  results run(bool resume = false, const progress_callback& report = [](const run_progress&) {}) const {
    results planned = plan();
    journal finished(folder.path() / "journal", planned, resume);
    run_experiment(model, encoding, conditions, planned, finished, report);
    return planned;
  }

  results run_without_journal() const {
    results planned = plan();
    run_experiment(model, encoding, conditions, planned);
    return planned;
  }
};

/// A run's document without what it took.
nlohmann::ordered_json outcome_of(const results& run) {
  nlohmann::ordered_json document = to_json_value(run);
  document.erase("cost");
  return document;
}

}  // namespace

TEST_CASE("a run has every test, condition and trial, with the trials' seeds", "[experiment][run]") {
  small_experiment setup;
  setup.settings.trials = 2;
  setup.settings.seed = 40;
  setup.settings.temperature = 1.0;
  const results run = setup.run();
  REQUIRE(run.tests.size() == 2);
  for (const test_record& test : run.tests) {
    REQUIRE(test.conditions.size() == 7);
    for (const condition_record& record : test.conditions) {
      REQUIRE(record.trials.size() == 2);
      CHECK(record.trials[0].seed == 40);
      CHECK(record.trials[1].seed == 41);
      CHECK(record.trials[0].token_ids != record.trials[1].token_ids);
      CHECK(record.trials[0].top2_margins.size() >= record.trials[0].token_ids.size());
      CHECK(record.trials[0].text == setup.encoding.tokens.decode(record.trials[0].token_ids));
    }
  }
  const std::vector<std::string> ids = condition_registry::standard().ids();
  CHECK(run.settings.conditions == std::vector<std::string>(ids.begin(), ids.begin() + 7));
}

TEST_CASE("same_cache equals baseline and transfer equals text_oracle, greedy and sampled", "[experiment][run]") {
  small_experiment setup;
  for (const double temperature : {0.0, 1.2}) {
    setup.settings.temperature = temperature;
    for (const test_record& test : setup.run().tests) {
      CHECK(test.find("same_cache")->trials[0].token_ids == test.find("baseline")->trials[0].token_ids);
      CHECK(test.find("transfer")->trials[0].token_ids == test.find("text_oracle")->trials[0].token_ids);
      CHECK_FALSE(test.find("noise")->trials[0].assumed_frame);
      CHECK(test.find("noise")->trials[0].edits.size() == 1);
      CHECK(test.find("transfer")->trials[0].edits.empty());
    }
  }
}

TEST_CASE("every trial is measured along the oracle's answer", "[experiment][run]") {
  small_experiment setup;
  for (const test_record& test : setup.run().tests) {
    for (const condition_record& record : test.conditions) {
      const trial_record& trial = record.trials.front();
      REQUIRE(trial.marker_log_prob.has_value());
      REQUIRE(trial.next_token_kl.has_value());
      CHECK(*trial.marker_log_prob < 0);
    }
    const auto only = [&](const char* id) -> const trial_record& { return test.find(id)->trials.front(); };
    CHECK(*only("text_oracle").next_token_kl < 1e-6);
    CHECK(*only("transfer").next_token_kl < 1e-6);
    CHECK(*only("transfer").marker_log_prob == Approx(*only("text_oracle").marker_log_prob).margin(1e-3));
    CHECK(*only("baseline").next_token_kl > 1e-3);
  }
}

TEST_CASE("a condition looks at the other tests of its suite", "[experiment][run]") {
  small_experiment setup;
  setup.conditions = condition_registry::standard().parse("baseline,other_source");
  const results run = setup.run();
  const auto source_ids = [&](std::size_t test) {
    std::vector<std::int64_t> ids;
    for (const sequence_part& part : run.tests[test].find("other_source")->trials[0].read) {
      if (part.role == token_role::source) {
        ids.insert(ids.end(), part.token_ids.begin(), part.token_ids.end());
      }
    }
    return ids;
  };
  CHECK(source_ids(0) == setup.encoding.tokens.encode(setup.tests.tests[1].source));
  CHECK(source_ids(1) == setup.encoding.tokens.encode(setup.tests.tests[0].source));
}

TEST_CASE("a condition may name the form of its prompts", "[experiment][run]") {
  small_experiment setup;
  setup.conditions = condition_registry::standard().parse("transfer,transfer+form:chat");
  CHECK_THROWS_AS(setup.run(), value_error);
  setup.conditions = condition_registry::standard().parse("transfer,transfer+form:raw");
  const results run = setup.run();
  CHECK(run.tests[0].conditions[0].trials[0].token_ids == run.tests[0].conditions[1].trials[0].token_ids);
}

TEST_CASE("greedy trials of one plan are run once and recorded for each", "[experiment][run]") {
  small_experiment setup;
  setup.settings.trials = 3;
  for (const test_record& test : setup.run().tests) {
    for (const condition_record& record : test.conditions) {
      CAPTURE(record.id);
      REQUIRE(record.trials.size() == 3);
      CHECK(record.trials[2].seed == 2);
      CHECK((record.id == "noise" || record.trials[2].token_ids == record.trials[0].token_ids));
      CHECK((record.id == "noise" || record.trials[2].top2_margins == record.trials[0].top2_margins));
      CHECK((record.id == "noise" || record.trials[2].next_token_kl == record.trials[0].next_token_kl));
    }
  }
}

TEST_CASE("progress counts every trial, and goes on between trials", "[experiment][run]") {
  std::vector<std::int64_t> done;
  std::int64_t calls = 0;
  std::int64_t tokens = 0;
  small_experiment().run(false, [&](const run_progress& progress) {
    ++calls;
    if (done.empty() || done.back() != progress.done) {
      done.push_back(progress.done);
    }
    CHECK(progress.total == 14);
    CHECK(progress.cost.trials == progress.done);
    CHECK(progress.cost.tokens >= tokens);
    tokens = progress.cost.tokens;
  });
  CHECK(done == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14});
  CHECK(calls > 14);
}

TEST_CASE("what a run took counts what it ran, not what was finished", "[experiment][run]") {
  small_experiment setup;
  const run_cost whole = setup.run().cost;
  CHECK(whole.trials == 14);
  CHECK(whole.tokens > 14);  // greedy trials that read the same are run once
  CHECK(whole.seconds > 0);
  CHECK(tokens_per_second(whole) == Approx(static_cast<double>(whole.tokens) / whole.seconds));
  CHECK(whole.processes == 1);
  CHECK(whole.peak_host_bytes > 10'000'000);
  CHECK_FALSE(whole.peak_device_bytes.has_value());
  CHECK(setup.run(true).cost.trials == 0);
  CHECK(setup.run(true).cost.tokens == 0);
}

TEST_CASE("the time left is that of the trials that are left", "[experiment][run]") {
  run_progress progress;
  progress.total = 20;
  progress.done = 12;
  CHECK_FALSE(seconds_left(progress).has_value());
  progress.cost.trials = 4;  // eight were finished before
  progress.cost.seconds = 6;
  CHECK(seconds_left(progress) == 12.0);
}

TEST_CASE("a run may be ended between two steps", "[experiment][run]") {
  small_experiment setup;
  const nlohmann::ordered_json whole = outcome_of(setup.run());
  struct stop {};
  for (const std::int64_t last : {1, 4, 9}) {
    std::int64_t calls = 0;
    CHECK_THROWS_AS(setup.run(false,
                              [&](const run_progress&) {
                                if (++calls == last) {
                                  throw stop{};
                                }
                              }),
                    stop);
    CHECK(alike(outcome_of(setup.run(true)), whole));
  }
}

TEST_CASE("a run interrupted after any trial resumes to the same results", "[experiment][run]") {
  small_experiment setup;
  const nlohmann::ordered_json whole = outcome_of(setup.run());
  struct stop {};
  for (const std::int64_t last : {1, 5, 13}) {
    const auto stop_there = [&](const run_progress& progress) {
      if (progress.done == last) {
        throw stop{};
      }
    };
    CHECK_THROWS_AS(setup.run(false, stop_there), stop);
    CHECK(alike(outcome_of(setup.run(true)), whole));
  }
}

TEST_CASE("a resumed run makes those trials anew whose other source has changed since", "[experiment][run]") {
  small_experiment setup;
  setup.conditions = condition_registry::standard().parse("baseline,other_source");
  const results before = setup.run();
  setup.tests.tests[1].source = "It is green and wide.";
  const results resumed = setup.run(true);
  small_experiment fresh;
  fresh.conditions = setup.conditions;
  fresh.tests = setup.tests;
  CHECK(alike(outcome_of(resumed), outcome_of(fresh.run())));
  const auto other = [](const results& run) -> const condition_record& { return *run.tests[0].find("other_source"); };
  CHECK((other(resumed).trials[0].read != other(before).trials[0].read));
  CHECK(other(resumed).inputs_digest != other(before).inputs_digest);
  CHECK(resumed.tests[0].find("baseline")->inputs_digest.empty());
}

TEST_CASE("resuming with other settings is refused", "[experiment][run]") {
  small_experiment setup;
  setup.run();
  setup.settings.temperature = 0.5;
  CHECK_THROWS_AS(setup.run(true), value_error);
}

TEST_CASE("a model without BOS runs all but what needs one", "[experiment][run]") {
  small_experiment setup;
  temporary_folder tokens;
  for (const char* name : {"tokenizer.model"}) {
    tokens.put(name, read_text(std::filesystem::path(KVT_SOURCE_DIR) / "tests/model/fixtures/tokenizer" / name));
  }
  tokens.put("tokenizer_config.json", R"({"bos_token": null, "eos_token": "</s>"})");
  setup.encoding.tokens = open_tokenizer(tokens.path());
  const results run = setup.run();
  CHECK(run.tests[0].find("as_reported_transfer")->not_applicable.has_value());
  CHECK(run.tests[0].find("as_reported_transfer")->trials.empty());
  CHECK(run.tests[0].find("transfer")->trials[0].token_ids == run.tests[0].find("text_oracle")->trials[0].token_ids);
}

TEST_CASE("prompts that outgrow the model are refused before anything runs", "[experiment][run]") {
  small_experiment setup;
  setup.settings.suite = "my.json";
  setup.tests.tests[1].source = std::string(3000, 'x');
  std::int64_t ran = 0;
  const std::string complaint = message_of<value_error>([&] { setup.run(false, [&](const run_progress&) { ++ran; }); });
  CHECK(complaint.find("my.json: test b under text_oracle: expected at most 256 tokens in front of the answer "
                       "(max_position_embeddings = 256)") == 0);
  CHECK(ran == 0);
}

TEST_CASE("no trials and no tokens are refused", "[experiment][run]") {
  small_experiment setup;
  setup.settings.trials = 0;
  CHECK_THROWS_AS(setup.run(), value_error);
  setup.settings.trials = 1;
  setup.settings.max_new_tokens = 0;
  CHECK_THROWS_AS(setup.run(), value_error);
}

TEST_CASE("a run without a journal gives what one with a journal gives", "[experiment][run]") {
  small_experiment setup;
  CHECK(json_text(outcome_of(setup.run_without_journal())) == json_text(outcome_of(setup.run())));
}

namespace {

struct not_ours {};

/// Throws in the function that is asked for.
template <class Thrown>
struct throwing_condition {
  std::string in;
  Thrown thrown;

  condition_description describe() const {
    condition_description description;
    description.id = "throwing";
    return description;
  }
  std::optional<std::string> not_applicable(const prompt_ids&) const {
    return in == "not_applicable" ? throw thrown : std::nullopt;
  }
  std::int64_t tokens_needed(const prompt_ids&, std::int64_t) const { return in == "tokens_needed" ? throw thrown : 1; }
  prepared_input prepare(prompt_caches&, const prompt_ids&, const generation_config&) const { throw thrown; }
};

}  // namespace

TEST_CASE("an error inside a condition names the test and the condition and keeps its kind", "[experiment][run]") {
  small_experiment setup;
  for (const char* where : {"not_applicable", "tokens_needed", "prepare"}) {
    setup.conditions = {throwing_condition<frame_error>{where, frame_error("prepend: keys: expected a, got b")}};
    CHECK(message_of<frame_error>([&] { setup.run(); }) == "test a under throwing: prepend: keys: expected a, got b");
  }
  setup.conditions = {throwing_condition<std::logic_error>{"prepare", std::logic_error("first line\nsecond line")}};
  CHECK(message_of<std::runtime_error>([&] { setup.run(); }) == "test a under throwing: first line");
  setup.conditions = {throwing_condition<not_ours>{"prepare", {}}};
  CHECK_THROWS_AS(setup.run(), not_ours);
}
