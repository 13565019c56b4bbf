#include "kvtransfer/experiment/output_folder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <system_error>

#include "experiment/file_lock.hpp"
#include "experiment/free_name.hpp"
#include "experiment/make_folder.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view rank_records_begin = "records.rank-";
constexpr std::string_view rank_records_end = ".jsonl";

bool has_content(const fs::path& file) {
  std::error_code none;
  const auto size = fs::file_size(file, none);
  return !none && size > 0;
}

/// Whether `inner` is `outer` or lies below it. Both are absolute and without links.
bool lies_in(const fs::path& inner, const fs::path& outer) {
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

/// Renames the folder. The journal's lock is held meanwhile, so that no run in progress loses its files.
fs::path set_aside(const fs::path& folder, const fs::path& journal) {
  std::error_code problem;
  // A link to the folder stays, and shows the new run's files.
  const fs::path real = fs::canonical(folder, problem);
  if (problem || lies_in(fs::current_path(), real)) {
    fail<file_error>(folder.string(), "output", "a folder that can be renamed, since it holds an earlier run",
                     problem ? problem.message() : "the working folder, or one above it");
  }
  std::optional<detail::file_lock> lock;
  if (fs::exists(journal, problem)) {
    lock.emplace(journal);
  }
  const fs::path aside = detail::free_name(real);
  fs::rename(real, aside, problem);
  if (problem) {
    fail<file_error>(folder.string(), "output", "a folder that can be renamed, since it holds an earlier run",
                     problem.message());
  }
  // Where `folder` is a link, this makes what it points to.
  detail::make_folder(real);
  return aside;
}

}  // namespace

fs::path records_file(const fs::path& folder) { return folder / "records.jsonl"; }

fs::path records_file_of_rank(const fs::path& folder, std::int64_t rank) {
  return folder / fmt::format("{}{}{}", rank_records_begin, rank, rank_records_end);
}

std::vector<fs::path> records_files_of_ranks(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code none;
  for (fs::directory_iterator entry(folder, none), end; !none && entry != end; entry.increment(none)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(rank_records_begin) && name.ends_with(rank_records_end)) {
      files.push_back(entry->path());
    }
  }
  std::ranges::sort(files);
  return files;
}

fs::path results_file(const fs::path& folder, const std::string& name) {
  return folder / (name + "_transfer_results.json");
}

std::optional<fs::path> make_output_folder(const fs::path& folder, const std::string& name, bool resume) {
  const fs::path journal = records_file(folder);
  if (std::error_code none; fs::exists(journal, none)) {
    const detail::file_lock only_run(journal);  // refuses where another has it, even if that has no trial yet
  }
  const bool kept = has_content(journal) || std::ranges::any_of(records_files_of_ranks(folder), has_content);
  if (!(resume && kept) && (kept || has_content(results_file(folder, name)))) {
    return set_aside(folder, journal);
  }
  detail::make_folder(folder);
  return std::nullopt;
}

}  // namespace kvtransfer
