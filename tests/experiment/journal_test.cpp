#include "kvtransfer/experiment/journal.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "experiment/sample_results.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "support/file_size_limit.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

struct journal_setup {
  temporary_folder folder;
  std::filesystem::path file = folder.path() / "journal.jsonl";
  results run = sample_results();
  trial_record trial = run.tests[0].conditions[0].trials[0];
  trial_record second = trial;

  journal_setup() { second.seed = 1; }

  /// Leaves a journal of two trials.
  void write_two() {
    journal kept(file, run, false);
    kept.append({"names", "transfer", 0}, trial);
    kept.append({"names", "transfer", 1}, second);
  }
};

}  // namespace

TEST_CASE("a resumed journal has the trials that were appended", "[experiment][journal]") {
  journal_setup setup;
  setup.write_two();
  const journal kept(setup.file, setup.run, true);
  CHECK(kept.size() == 2);
  REQUIRE(kept.find({"names", "transfer", 1}) != nullptr);
  CHECK(*kept.find({"names", "transfer", 1}) == setup.second);
  CHECK(kept.find({"names", "transfer", 2}) == nullptr);
  CHECK(kept.find({"names", "baseline", 0}) == nullptr);
}

TEST_CASE("a trial that was taken from a journal is in its file alone", "[experiment][journal]") {
  journal_setup setup;
  setup.write_two();
  journal kept(setup.file, setup.run, true);
  CHECK(kept.take({"names", "transfer", 1}) == setup.second);
  CHECK(kept.find({"names", "transfer", 1}) == nullptr);
  CHECK_FALSE(kept.take({"names", "transfer", 1}));
  CHECK_FALSE(kept.take({"nobody", "transfer", 0}));
  CHECK(kept.find({"names", "transfer", 0}) != nullptr);
}

TEST_CASE("without resume a journal starts empty", "[experiment][journal]") {
  journal_setup setup;
  setup.write_two();
  {
    CHECK(journal(setup.file, setup.run, false).size() == 0);
  }
  CHECK(journal(setup.file, setup.run, true).size() == 0);
}

TEST_CASE("resuming where there is nothing starts a journal", "[experiment][journal]") {
  journal_setup setup;
  {
    journal(setup.file, setup.run, true).append({"names", "transfer", 0}, setup.trial);
  }
  CHECK(journal(setup.file, setup.run, true).size() == 1);
}

TEST_CASE("a journal cut anywhere resumes with the trials that were whole", "[experiment][journal]") {
  journal_setup setup;
  setup.write_two();
  const std::string whole = read_text(setup.file);
  const std::size_t first = whole.find('\n') + 1;
  for (std::size_t length = 0; length < whole.size(); length += 61) {
    std::ofstream(setup.file, std::ios::binary) << whole.substr(0, length);
    {
      journal kept(setup.file, setup.run, true);
      CHECK(kept.size() == (length < first ? 0 : 1));
      kept.append({"names", "transfer", 1}, setup.second);
    }
    CHECK(journal(setup.file, setup.run, true).find({"names", "transfer", 1}) != nullptr);
  }
}

TEST_CASE("a journal of other settings is refused, naming the setting, and is left alone", "[experiment][journal]") {
  journal_setup setup;
  setup.write_two();
  const std::string before = read_text(setup.file);
  setup.run.settings.max_new_tokens = 7;
  const std::string complaint = message_of<value_error>([&] { journal(setup.file, setup.run, true); });
  CHECK(complaint == "resume: max_new_tokens: expected 40, as in " + setup.file.string() + ", got 7");
  CHECK(read_text(setup.file) == before);
}

TEST_CASE("a journal of another model is refused, naming what differs, and is left alone", "[experiment][journal]") {
  journal_setup setup;
  setup.run.model.identity = {"d1", "none", "none", "t1", {{"rms_norm_eps", "1e-06"}}, {{"rope_theta", "10000"}}};
  setup.write_two();
  const std::string before = read_text(setup.file);
  const auto complaint = [&](auto&& change) {
    results other = setup.run;
    change(other.model.identity);
    const std::string text = message_of<value_error>([&] { journal(setup.file, other, true); });
    CHECK(read_text(setup.file) == before);
    return text;
  };
  const std::string where = setup.file.string();
  CHECK(complaint([](model_identity& model) { model.digest = "d2"; }) ==
        "resume: model_digest: expected \"d1\", as in " + where + ", got \"d2\"");
  CHECK(complaint([](model_identity& model) { model.tokenizer = "t2"; }) ==
        "resume: tokenizer_digest: expected \"t1\", as in " + where + ", got \"t2\"");
  CHECK(complaint([](model_identity& model) { model.configuration["rms_norm_eps"] = "1e-05"; }) ==
        "resume: configuration.rms_norm_eps: expected \"1e-06\", as in " + where + ", got \"1e-05\"");
  CHECK(complaint([](model_identity& model) { model.rotary["factor"] = "2"; }) ==
        "resume: rotary.factor: expected nothing, as in " + where + ", got \"2\"");
}

TEST_CASE("a journal of an older schema is refused by name and left alone", "[experiment][journal]") {
  journal_setup setup;
  const std::string old = R"({"schema_version":1,"test":"names","condition":"transfer","trial":0})";
  setup.folder.put("journal.jsonl", old + "\n");
  CHECK(message_of<file_error>([&] { journal(setup.file, setup.run, true); }) ==
        setup.file.string() + ": schema_version: expected 2, to be resumed, got 1");
  CHECK(read_text(setup.file) == old + "\n");
}

TEST_CASE("a file that is no journal is refused and left alone", "[experiment][journal]") {
  journal_setup setup;
  setup.folder.put("journal.jsonl", "dear diary\n");
  CHECK_THROWS_AS(journal(setup.file, setup.run, true), file_error);
  CHECK(read_text(setup.file) == "dear diary\n");
  CHECK_THROWS_AS(journal(setup.folder.path(), setup.run, false), file_error);
  CHECK_THROWS_AS(journal(setup.folder.path() / "none" / "j", setup.run, false), file_error);
}

TEST_CASE("two runs do not share a journal", "[experiment][journal]") {
  journal_setup setup;
  const journal first(setup.file, setup.run, false);
  CHECK_THROWS_AS(journal(setup.file, setup.run, true), file_error);
}

TEST_CASE("a resumed run may have other trials, conditions and tests, and finds what it shares",
          "[experiment][journal]") {
  journal_setup setup;
  setup.write_two();
  results wider = setup.run;
  wider.settings.seed = 1;
  wider.settings.trials = 5;
  wider.conditions.push_back(sample_condition("zero", "Zero"));
  wider.tests.push_back(wider.tests.front());
  wider.tests.back().test.name = "more";
  {
    journal kept(setup.file, wider, true);
    REQUIRE(kept.find({"names", "transfer", 0}) != nullptr);
    CHECK(*kept.find({"names", "transfer", 0}) == setup.second);
    CHECK(kept.find({"more", "transfer", 0}) == nullptr);
    kept.append({"more", "zero", 0}, setup.second);
  }
  const journal kept(setup.file, setup.run, true);
  CHECK(kept.size() == 3);
  CHECK(kept.find({"names", "transfer", 1}) != nullptr);
}

TEST_CASE("a test of the same name and another content is another test", "[experiment][journal]") {
  journal_setup setup;
  setup.write_two();
  setup.run.tests[0].test.target += "!";
  CHECK(journal(setup.file, setup.run, true).find({"names", "transfer", 0}) == nullptr);
}

TEST_CASE("a trial that depended on another content of its files is another trial", "[experiment][journal]") {
  journal_setup setup;
  {
    journal kept(setup.file, setup.run, false);
    kept.append({"names", "transfer", 0, "first"}, setup.trial);
  }
  journal kept(setup.file, setup.run, true);
  CHECK(kept.find({"names", "transfer", 0, "first"}) != nullptr);
  CHECK(kept.find({"names", "transfer", 0, "second"}) == nullptr);
  CHECK(kept.find({"names", "transfer", 0}) == nullptr);
  kept.append({"names", "transfer", 0, "second"}, setup.trial);
  CHECK(kept.size() == 2);
}

TEST_CASE("a line that was changed by hand is refused, wherever it was changed, and is left alone",
          "[experiment][journal]") {
  journal_setup setup;
  setup.write_two();
  const std::string whole = read_text(setup.file);
  const auto complaint = [&](const std::string& text) {
    setup.folder.put("journal.jsonl", text);
    const std::string what = message_of<file_error>([&] { journal(setup.file, setup.run, true); });
    CHECK(read_text(setup.file) == text);
    return what;
  };
  const auto replaced = [&](const std::string& part, const std::string& other) {
    std::string text = whole;
    const std::size_t at = text.rfind(part);
    REQUIRE(at != std::string::npos);
    return text.replace(at, part.size(), other);
  };
  const std::string where = setup.file.string() + " line 2: checksum: expected that of the line as a run wrote it " +
                            "(delete the line, and a resumed run makes its trial again), got ";
  const std::string first_id = std::to_string(setup.second.token_ids.front());
  CHECK(complaint(replaced("\"token_ids\":[" + first_id, "\"token_ids\":[" + first_id + "1")) ==
        where + "that of another: the line was changed since");
  CHECK(complaint(replaced("\"trial\":1", "\"trial\":2")) == where + "that of another: the line was changed since");
  CHECK(complaint(replaced("\"checksum\"", "\"Checksum\"")) == where + "none at its end");
  for (std::size_t at = whole.find('\n') + 1; at + 1 < whole.size(); at += 7) {  // any other single change
    CAPTURE(at);
    std::string text = whole;
    text[at] = static_cast<char>(text[at] ^ 1);
    setup.folder.put("journal.jsonl", text);
    CHECK_THROWS_AS(journal(setup.file, setup.run, true), error);
  }
  setup.folder.put("journal.jsonl", whole);
  CHECK(journal(setup.file, setup.run, true).size() == 2);
}

TEST_CASE("a line that has no checksum, as earlier versions wrote them, is refused by name", "[experiment][journal]") {
  journal_setup setup;
  setup.write_two();
  std::string text = read_text(setup.file);
  for (std::size_t at = text.find(",\"checksum\""); at != text.npos; at = text.find(",\"checksum\"")) {
    text.erase(at, text.find('}', at) - at);
  }
  REQUIRE(nlohmann::json::parse(text.substr(0, text.find('\n'))).contains("token_ids"));
  setup.folder.put("journal.jsonl", text);
  CHECK(message_of<file_error>([&] { journal(setup.file, setup.run, true); }) ==
        setup.file.string() +
            " line 1: checksum: expected that of the line as a run wrote it (delete the line, and a " +
            "resumed run makes its trial again), got none at its end");
}

TEST_CASE("a refused line may be deleted: its trial alone is made again", "[experiment][journal]") {
  journal_setup setup;
  setup.write_two();
  const std::string whole = read_text(setup.file);
  const std::size_t second = whole.find('\n') + 1;
  for (const bool first_goes : {true, false}) {
    setup.folder.put("journal.jsonl", first_goes ? whole.substr(second) : whole.substr(0, second));
    journal kept(setup.file, setup.run, true);
    CHECK(kept.size() == 1);
    CHECK((kept.find({"names", "transfer", 0}) == nullptr) == first_goes);
    CHECK((kept.find({"names", "transfer", 1}) == nullptr) == !first_goes);
  }
}

TEST_CASE("a trial's line is flat and says all of where it comes from", "[experiment][journal]") {
  journal_setup setup;
  setup.run.program.commit = "abc123";
  setup.run.program.command = "phase2a --suite sample";
  setup.run.program.date = "2026-01-02T03:04:05Z";
  setup.run.suite_digest = "d";
  setup.run.model.identity.tokenizer = "t";
  setup.run.conditions[1].factors = {{"bos", "second"}};
  setup.run.tests[0].test.group = "g";
  {
    journal kept(setup.file, setup.run, false);
    trial_record other = setup.trial;
    other.token_ids[1] = 99;
    kept.append({"names", "text_oracle", 0}, setup.trial);
    kept.append({"names", "transfer", 0, "e"}, setup.trial, &other);
  }
  const std::string text = read_text(setup.file);
  const nlohmann::json line = nlohmann::json::parse(text.substr(text.find('\n') + 1));
  const std::vector<std::pair<const char*, nlohmann::json>> columns = {{"suite", "sample"},
                                                                       {"suite_digest", "d"},
                                                                       {"test", "names"},
                                                                       {"group", "g"},
                                                                       {"variant", nullptr},
                                                                       {"condition", "transfer"},
                                                                       {"bos", "second"},
                                                                       {"trial", 0},
                                                                       {"seed", 0},
                                                                       {"success", true},
                                                                       {"marker_log_prob", nullptr},
                                                                       {"first_divergence", 1},
                                                                       {"inputs_digest", "e"},
                                                                       {"stop_reason", "eos"},
                                                                       {"version", "0.1.0"},
                                                                       {"commit", "abc123"},
                                                                       {"command", "phase2a --suite sample"},
                                                                       {"date", "2026-01-02T03:04:05Z"},
                                                                       {"model_digest", "abc"},
                                                                       {"tokenizer_digest", "t"},
                                                                       {"dtype", "float32"},
                                                                       {"margin", 0.03}};
  for (const auto& [name, value] : columns) {
    CAPTURE(name);
    CHECK((line.at(name) == value));
  }
  CHECK(line.at("test_digest") == digest_of(setup.run.tests[0].test));
  CHECK(nlohmann::json::parse(text.substr(0, text.find('\n'))).contains("first_divergence") == false);
}

TEST_CASE("a trial of a test or a condition that the run does not have is not kept", "[experiment][journal]") {
  journal_setup setup;
  journal kept(setup.file, setup.run, false);
  CHECK_THROWS_AS(kept.append({"other", "transfer", 0}, setup.trial), value_error);
  CHECK_THROWS_AS(kept.append({"names", "zero", 0}, setup.trial), value_error);
}

TEST_CASE("a full disk leaves a journal of whole lines, which goes on when there is room", "[experiment][journal]") {
  journal_setup setup;
  journal kept(setup.file, setup.run, false);
  kept.append({"names", "transfer", 0}, setup.trial);
  const std::string before = read_text(setup.file);
  {
    const file_size_limit limit(before.size() + 100);  // some of a line
    CHECK_THROWS_AS(kept.append({"names", "transfer", 1}, setup.second), full_disk_error);
  }
  CHECK(read_text(setup.file) == before);
  CHECK(kept.size() == 1);
  kept.append({"names", "transfer", 1}, setup.second);
  CHECK(kept.size() == 2);
  const std::string after = read_text(setup.file);
  CHECK(after.starts_with(before));
  CHECK(std::count(after.begin(), after.end(), '\n') == 2);
}

TEST_CASE("a journal knows the trials of another without holding them", "[experiment][journal]") {
  journal_setup setup;
  setup.write_two();
  const auto own_file = setup.folder.path() / "own.jsonl";
  journal own(own_file, setup.run, false);
  own.know(setup.file);
  CHECK(own.size() == 2);
  REQUIRE(own.find({"names", "transfer", 1}) != nullptr);
  CHECK(read_text(own_file).empty());
}

TEST_CASE("a journal absorbs the trials of others once each, and says where they differ from their reference",
          "[experiment][journal]") {
  journal_setup setup;
  const auto file = [&](const char* name) { return setup.folder.path() / name; };
  {
    journal first(file("1"), setup.run, false);
    first.append({"names", "transfer", 0}, setup.trial);
    journal second(file("2"), setup.run, false);
    second.append({"names", "transfer", 0}, setup.trial);
    second.append({"names", "text_oracle", 0}, setup.run.tests[0].find("text_oracle")->trials[0]);
  }
  const auto lines_of = [&](const std::filesystem::path& path) {
    std::vector<nlohmann::ordered_json> lines;
    std::istringstream stream(read_text(path));
    for (std::string line; std::getline(stream, line);) {
      lines.push_back(nlohmann::ordered_json::parse(line));
    }
    return lines;
  };
  CHECK_FALSE(lines_of(file("1"))[0].contains("first_divergence"));  // the oracle ran elsewhere
  {
    journal all(setup.file, setup.run, false);
    all.absorb({file("1"), file("2")});
    CHECK(all.size() == 2);
    const std::string once = read_text(setup.file);
    all.absorb({file("1"), file("2")});
    CHECK(read_text(setup.file) == once);
  }
  // One journal that has run the oracle first writes the very same lines.
  {
    journal whole(file("whole"), setup.run, false);
    const trial_record& oracle = setup.run.tests[0].find("text_oracle")->trials[0];
    whole.append({"names", "text_oracle", 0}, oracle);
    whole.append({"names", "transfer", 0}, setup.trial, &oracle);
  }
  const auto absorbed = lines_of(setup.file);
  const auto whole = lines_of(file("whole"));
  REQUIRE(absorbed.size() == 2);
  CHECK(absorbed[0].dump() == whole[1].dump());
  CHECK(absorbed[1].dump() == whole[0].dump());
  CHECK(journal(setup.file, setup.run, true).size() == 2);
}

TEST_CASE("trials of another GPU of the same kind are of the same run, those of another kind are not",
          "[experiment][journal]") {
  journal_setup setup;
  setup.run.program.device = "cuda:0";
  setup.write_two();
  setup.run.program.device = "cuda:3";
  CHECK(journal(setup.file, setup.run, true).size() == 2);
  setup.run.program.device = "cpu";
  CHECK_THAT(message_of<value_error>([&] { journal(setup.file, setup.run, true); }), contains("resume: device"));
}
