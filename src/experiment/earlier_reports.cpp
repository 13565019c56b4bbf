#include "experiment/earlier_reports.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>

#include "experiment/free_name.hpp"
#include "experiment/make_folder.hpp"
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

}  // namespace

std::optional<fs::path> set_reports_aside(const results& run, const fs::path& folder, const std::string& name) {
  std::error_code problem;
  if (!fs::exists(results_file(folder, name), problem) || covers(run, results_file(folder, name))) {
    return std::nullopt;
  }
  const fs::path aside = free_name(fs::canonical(folder, problem));
  make_folder(aside);
  for (const fs::path& file : report_files(folder, name)) {
    if (fs::exists(file, problem)) {
      fs::rename(file, aside / file.filename(), problem);
      if (problem) {
        fail_to_write(file, "report", "a file that can be moved, since it is an earlier run's", problem.value());
      }
    }
  }
  return aside;
}

}  // namespace kvtransfer::detail
