#include "kvtransfer/experiment/suite.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "experiment/suite_json.hpp"
#include "experiment/trial_json.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/experiment/metrics.hpp"
#include "model/weights/digest.hpp"

namespace kvtransfer {

namespace detail {

namespace {

std::string read_prompt(const json_reader& fields, std::string_view key) {
  std::string prompt = fields.text(key);
  if (prompt.find_first_not_of(" \t\r\n") == prompt.npos) {
    fields.member(key).refuse_with("a prompt with some text", "an empty one");
  }
  return prompt;
}

/// Words that a text is searched for: every one of them some text, none of them twice.
std::vector<std::string> read_words(const json_reader& fields, std::string_view key) {
  std::vector<std::string> words = fields.texts(key);
  std::set<std::string> seen;
  for (const std::string& word : words) {
    if (word.find_first_not_of(" \t\r\n") == word.npos) {
      fields.member(key).refuse_with("one or more words", "an empty word");
    }
    if (!seen.insert(lower_case(word)).second) {
      fields.member(key).refuse_with("words that differ", excerpt(word) + " again");
    }
  }
  return words;
}

std::vector<std::string> read_optional_words(const json_reader& fields, std::string_view key) {
  return fields.contains(key) ? read_words(fields, key) : std::vector<std::string>();
}

std::vector<std::string> read_markers(const json_reader& fields) {
  std::vector<std::string> markers = read_words(fields, "markers");
  if (markers.empty()) {
    fields.member("markers").refuse_with("one or more words", "an empty list");
  }
  return markers;
}

/// A name that may be left out, but is not to be empty.
std::string read_optional_name(const json_reader& fields, std::string_view key) {
  std::string name = fields.contains(key) ? fields.text(key) : "";
  if (fields.contains(key) && name.empty()) {
    fields.member(key).refuse_with("a name", "an empty one");
  }
  return name;
}

std::string read_prompt_form(const json_reader& fields) {
  std::string form = fields.contains("prompt_form") ? fields.text("prompt_form") : "";
  if (fields.contains("prompt_form") && form != "raw" && form != "chat") {
    fields.refuse("prompt_form", "\"raw\" or \"chat\"");
  }
  return form;
}

/// What a test is a variant of, and which one: both or neither.
void read_variant(const json_reader& fields, test_case& test) {
  test.item = read_optional_name(fields, "item");
  test.variant = read_optional_name(fields, "variant");
  if (test.item.empty() != test.variant.empty()) {
    fields.refuse(test.item.empty() ? "item" : "variant", "item and variant together");
  }
}

/// @throws file_error if no text could pass: a marker holds a word that is forbidden
void require_possible(const json_reader& fields, const test_case& test) {
  for (const std::string& marker : test.markers) {
    const std::vector<std::string> held = forbidden_found(marker, test);
    if (!held.empty()) {
      fields.member("forbidden_markers").refuse_with("words that no marker holds", excerpt(held.front()));
    }
  }
}

std::vector<std::string> read_completed(const json_reader& fields) {
  std::vector<std::string> completed =
      fields.contains("completed") ? fields.texts("completed") : std::vector<std::string>();
  for (const std::string& prompt : completed) {
    if (prompt != "source" && prompt != "target") {
      fields.member("completed").refuse_with("a list of \"source\" or \"target\"", excerpt(prompt));
    }
  }
  return completed;
}

std::map<std::string, reported_cell> read_reported(const json_reader& fields) {
  std::map<std::string, reported_cell> cells;
  if (!fields.contains("reported")) {
    return cells;
  }
  const json_reader columns = fields.object("reported");
  for (const std::string& column : columns.keys()) {
    const json_reader cell = columns.member(column);
    const bool is_text = cell.value().is_string();
    if (is_text && cell.value() != "ERROR") {
      columns.refuse(column, "a list of markers, or \"ERROR\"");
    }
    cells[column] = is_text ? reported_cell{true, {}} : reported_cell{false, columns.texts(column)};
  }
  return cells;
}

test_case read_test_case(const json_reader& fields) {
  fields.allow_only({"name", "source", "target", "markers", "foils", "forbidden_markers", "group", "item", "variant",
                     "prompt_form", "whole_words", "completed", "note", "reported"});
  test_case test;
  test.name = fields.text("name");
  if (test.name.empty()) {
    fields.member("name").refuse_with("a name", "an empty one");
  }
  test.source = read_prompt(fields, "source");
  test.target = read_prompt(fields, "target");
  test.markers = read_markers(fields);
  test.completed = read_completed(fields);
  test.note = fields.contains("note") ? fields.text("note") : "";
  test.reported = read_reported(fields);
  test.foils = read_optional_words(fields, "foils");
  test.forbidden = read_optional_words(fields, "forbidden_markers");
  test.group = read_optional_name(fields, "group");
  read_variant(fields, test);
  test.prompt_form = read_prompt_form(fields);
  test.whole_words = fields.boolean("whole_words", false);
  require_possible(fields, test);
  return test;
}

/// What decides on prompts and outcome, in the words of a suite's file.
nlohmann::ordered_json content_json(const test_case& test) {
  nlohmann::ordered_json value = {
      {"name", test.name}, {"source", test.source}, {"target", test.target}, {"markers", test.markers}};
  const auto add = [&](const char* key, const auto& given) {
    if (!given.empty()) {
      value[key] = given;
    }
  };
  add("foils", test.foils);
  add("forbidden_markers", test.forbidden);
  add("group", test.group);
  add("item", test.item);
  add("variant", test.variant);
  add("prompt_form", test.prompt_form);
  if (test.whole_words) {
    value["whole_words"] = true;
  }
  return value;
}

nlohmann::ordered_json whole_json(const test_case& test) {
  nlohmann::ordered_json value = content_json(test);
  if (!test.completed.empty()) {
    value["completed"] = test.completed;
  }
  if (!test.note.empty()) {
    value["note"] = test.note;
  }
  for (const auto& [column, cell] : test.reported) {
    value["reported"][column] = cell.error ? nlohmann::ordered_json("ERROR") : nlohmann::ordered_json(cell.markers);
  }
  return value;
}

}  // namespace

suite parse_suite(const nlohmann::json& document, const std::string& file) {
  const json_reader fields(document, file);
  fields.allow_only({"name", "description", "reported_by", "metric", "tests"});
  suite parsed;
  parsed.name = fields.text("name");
  parsed.description = fields.contains("description") ? fields.text("description") : "";
  parsed.reported_by = fields.contains("reported_by") ? fields.text("reported_by") : "";
  parsed.metric = fields.text("metric", parsed.metric);
  if (parsed.metric != "success" && parsed.metric != "stalled") {
    fields.refuse("metric", "\"success\" or \"stalled\"");
  }
  std::set<std::string> names;
  std::set<std::pair<std::string, std::string>> variants;
  for (const json_reader& test : fields.objects("tests")) {
    parsed.tests.push_back(read_test_case(test));
    const test_case& last = parsed.tests.back();
    if (!names.insert(last.name).second) {
      test.member("name").refuse_with("a name not used before", excerpt(last.name) + " again");
    }
    if (!last.item.empty() && !variants.insert({last.item, last.variant}).second) {
      test.member("variant").refuse_with("one test a variant of an item",
                                         fmt::format("{} of {} again", excerpt(last.variant), excerpt(last.item)));
    }
  }
  if (parsed.tests.empty()) {
    fields.member("tests").refuse_with("one or more tests", "an empty list");
  }
  return parsed;
}

}  // namespace detail

suite read_suite(const std::filesystem::path& path) {
  return detail::parse_suite(read_json_object(path), path.string());
}

std::string suite_text(const suite& tests) {
  nlohmann::ordered_json document = {{"name", tests.name}};
  if (!tests.description.empty()) {
    document["description"] = tests.description;
  }
  if (!tests.reported_by.empty()) {
    document["reported_by"] = tests.reported_by;
  }
  if (tests.metric != suite().metric) {
    document["metric"] = tests.metric;
  }
  for (const test_case& test : tests.tests) {
    document["tests"].push_back(detail::whole_json(test));
  }
  return detail::json_text(document, 1) + "\n";
}

std::string digest_of(const test_case& test) {
  detail::digest content;
  content.add(detail::json_text(detail::content_json(test)));
  return content.text();
}

std::string digest_of(const suite& tests) {
  detail::digest content;
  for (const test_case& test : tests.tests) {
    content.add(detail::json_text(detail::content_json(test)));
  }
  return content.text();
}

std::vector<std::string> variants_of(const suite& tests) {
  std::vector<std::string> variants;
  for (const test_case& test : tests.tests) {
    if (!test.variant.empty() && std::find(variants.begin(), variants.end(), test.variant) == variants.end()) {
      variants.push_back(test.variant);
    }
  }
  return variants;
}

}  // namespace kvtransfer
