#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/experiment/object_reader.hpp"

namespace kvtransfer {

/// One cell of a table that somebody published: the markers found, or that the run failed.
struct reported_cell {
  bool error = false;
  std::vector<std::string> markers;

  friend bool operator==(const reported_cell&, const reported_cell&) = default;
};

/// A pair of prompts and the words that tell whether the source's content shows in the target's continuation.
struct test_case {
  std::string name;
  std::string source;
  std::string target;
  std::vector<std::string> markers;
  std::vector<std::string> completed;             ///< prompts ("source", "target") that the suite's author completed
  std::string note;                               ///< what a reader should know about this test; may be empty
  std::map<std::string, reported_cell> reported;  ///< published result by condition; empty where none is known

  friend bool operator==(const test_case&, const test_case&) = default;
};

/// The tests of one experiment.
struct suite {
  std::string name;
  std::string description;
  std::string reported_by;  ///< whose results the tests' `reported` fields hold; may be empty
  std::vector<test_case> tests;

  friend bool operator==(const suite&, const suite&) = default;
};

namespace detail {

inline std::string read_prompt(const object_reader& fields, std::string_view key) {
  std::string prompt = fields.text(key);
  if (prompt.find_first_not_of(" \t\r\n") == prompt.npos) {
    fields.refuse(key, "a prompt with some text", "an empty one");
  }
  return prompt;
}

inline std::vector<std::string> read_markers(const object_reader& fields) {
  std::vector<std::string> markers = fields.texts("markers");
  if (markers.empty() || std::count(markers.begin(), markers.end(), std::string()) > 0) {
    fields.refuse("markers", "one or more words", markers.empty() ? "an empty list" : "an empty word");
  }
  return markers;
}

inline std::vector<std::string> read_completed(const object_reader& fields) {
  std::vector<std::string> completed = fields.has("completed") ? fields.texts("completed") : std::vector<std::string>();
  for (const std::string& prompt : completed) {
    if (prompt != "source" && prompt != "target") {
      fields.refuse("completed", "a list of \"source\" or \"target\"", fmt::format("\"{}\"", prompt));
    }
  }
  return completed;
}

inline std::map<std::string, reported_cell> read_reported(const object_reader& fields) {
  std::map<std::string, reported_cell> cells;
  if (!fields.has("reported")) {
    return cells;
  }
  const object_reader columns = fields.object("reported");
  for (const std::string& column : columns.keys()) {
    const nlohmann::json& cell = columns.raw(column);
    if (cell.is_string() && cell != "ERROR") {
      columns.refuse(column, "a list of markers, or \"ERROR\"");
    }
    cells[column] = cell.is_string() ? reported_cell{true, {}} : reported_cell{false, columns.texts(column)};
  }
  return cells;
}

inline test_case read_test_case(const object_reader& fields) {
  fields.allow_only({"name", "source", "target", "markers", "completed", "note", "reported"});
  test_case test;
  test.name = fields.text("name");
  if (test.name.empty()) {
    fields.refuse("name", "a name", "an empty one");
  }
  test.source = read_prompt(fields, "source");
  test.target = read_prompt(fields, "target");
  test.markers = read_markers(fields);
  test.completed = read_completed(fields);
  test.note = fields.has("note") ? fields.text("note") : "";
  test.reported = read_reported(fields);
  return test;
}

}  // namespace detail

/// Reads a suite from a JSON document `{name, description?, reported_by?, tests: [{name, source, target, markers,
/// …}]}`.
/// @param file name to put in front of complaints
/// @throws file_error naming file, field, expected and found for any missing, mistyped, empty, repeated or unknown
/// field
inline suite parse_suite(const nlohmann::json& document, const std::string& file) {
  const object_reader fields(document, file);
  fields.allow_only({"name", "description", "reported_by", "tests"});
  suite parsed;
  parsed.name = fields.text("name");
  parsed.description = fields.has("description") ? fields.text("description") : "";
  parsed.reported_by = fields.has("reported_by") ? fields.text("reported_by") : "";
  std::set<std::string> names;
  for (const object_reader& test : fields.objects("tests")) {
    parsed.tests.push_back(detail::read_test_case(test));
    if (!names.insert(parsed.tests.back().name).second) {
      test.refuse("name", "a name not used before", fmt::format("\"{}\" again", parsed.tests.back().name));
    }
  }
  if (parsed.tests.empty()) {
    fields.refuse("tests", "one or more tests", "an empty list");
  }
  return parsed;
}

/// Reads a suite's file. @throws file_error as `parse_suite`, or if the file can't be read or is not JSON
inline suite read_suite(const std::filesystem::path& path) {
  return parse_suite(read_json_object(path), path.string());
}

}  // namespace kvtransfer
