#include "kvtransfer/experiment/suite.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "experiment/suite_json.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/core/json_reader.hpp"

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

std::vector<std::string> read_markers(const json_reader& fields) {
  std::vector<std::string> markers = fields.texts("markers");
  if (markers.empty() || std::count(markers.begin(), markers.end(), std::string()) > 0) {
    fields.member("markers").refuse_with("one or more words", markers.empty() ? "an empty list" : "an empty word");
  }
  return markers;
}

std::vector<std::string> read_completed(const json_reader& fields) {
  std::vector<std::string> completed =
      fields.contains("completed") ? fields.texts("completed") : std::vector<std::string>();
  for (const std::string& prompt : completed) {
    if (prompt != "source" && prompt != "target") {
      fields.member("completed").refuse_with("a list of \"source\" or \"target\"", fmt::format("\"{}\"", prompt));
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
  fields.allow_only({"name", "source", "target", "markers", "completed", "note", "reported"});
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
  return test;
}

}  // namespace

suite parse_suite(const nlohmann::json& document, const std::string& file) {
  const json_reader fields(document, file);
  fields.allow_only({"name", "description", "reported_by", "tests"});
  suite parsed;
  parsed.name = fields.text("name");
  parsed.description = fields.contains("description") ? fields.text("description") : "";
  parsed.reported_by = fields.contains("reported_by") ? fields.text("reported_by") : "";
  std::set<std::string> names;
  for (const json_reader& test : fields.objects("tests")) {
    parsed.tests.push_back(read_test_case(test));
    if (!names.insert(parsed.tests.back().name).second) {
      test.member("name").refuse_with("a name not used before", fmt::format("\"{}\" again", parsed.tests.back().name));
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

}  // namespace kvtransfer
