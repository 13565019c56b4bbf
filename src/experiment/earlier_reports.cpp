#include "experiment/earlier_reports.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "experiment/free_name.hpp"
#include "experiment/records_json.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/core/write_failure.hpp"
#include "kvtransfer/experiment/output_folder.hpp"
#include "kvtransfer/experiment/report.hpp"

namespace kvtransfer::detail {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool holds(const json& list, const json& item) { return std::find(list.begin(), list.end(), item) != list.end(); }

/// Whether every trial of one test's conditions is among those of the same test in another document.
bool has_trials_of(const json& newer, const json& older) {
  for (const auto& [id, before] : older.items()) {
    const auto now = newer.find(id);
    if (now == newer.end() || now->value("inputs_digest", json()) != before.value("inputs_digest", json())) {
      return false;
    }
    for (const json& trial : before.at("trials")) {
      if (!holds(now->at("trials"), trial)) {
        return false;
      }
    }
  }
  return true;
}

/// Whether one results document tells of all that another does.
bool covers(const json& newer, const json& older) {
  for (const char* place : {"/suite", "/settings/factors", "/settings/sweep"}) {
    const json::json_pointer pointer(place);
    if (newer.at(pointer) != older.at(pointer)) {
      return false;
    }
  }
  return std::equal(
      older.at("tests").begin(), older.at("tests").end(), newer.at("tests").begin(), newer.at("tests").end(),
      [](const json& before, const json& now) { return has_trials_of(now.at("conditions"), before.at("conditions")); });
}

/// Whether nothing is lost when the reports of `run` replace those whose results are in `file`.
bool covers(const results& run, const fs::path& file) {
  try {
    return covers(json(to_json_value(run)), parse_json(read_text(file), file.string()));
  } catch (const error&) {
    return false;  // whatever it is, it is not what this run tells
  } catch (const json::exception&) {
    return false;
  }
}

/// Moves files into a new folder, or leaves them where they are where the folder or the first file can't go there.
bool move_into(const fs::path& aside, const std::vector<fs::path>& files) {
  std::error_code problem;
  if (!fs::create_directory(aside, problem)) {
    return false;
  }
  bool moved_any = false;
  for (const fs::path& file : files) {
    fs::rename(file, aside / file.filename(), problem);
    if (problem && !moved_any) {
      fs::remove(aside, problem);
      return false;
    }
    if (problem) {
      fail_to_write(aside / file.filename(), "report", "a place for an earlier run's report", problem.value());
    }
    moved_any = true;
  }
  return true;
}

}  // namespace

std::optional<fs::path> set_reports_aside(const results& run, const fs::path& folder, const std::string& name) {
  std::error_code problem;
  if (!fs::exists(results_file(folder, name), problem) || covers(run, results_file(folder, name))) {
    return std::nullopt;
  }
  std::vector<fs::path> files = report_files(folder, name);
  std::erase_if(files, [&](const fs::path& file) { return !fs::exists(file, problem); });
  // A folder that is a file system of its own has no neighbour that its files could be moved to.
  for (const fs::path& beside : {fs::canonical(folder, problem), folder / "reports"}) {
    fs::path aside = free_name(beside);
    if (move_into(aside, files)) {
      return aside;
    }
  }
  fail<file_error>(results_file(folder, name).string(), "report", "one that can be moved, since it is an earlier run's",
                   "no folder that takes it");
}

}  // namespace kvtransfer::detail
