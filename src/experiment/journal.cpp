#include "kvtransfer/experiment/journal.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "experiment/file_lock.hpp"
#include "experiment/records_json.hpp"
#include "experiment/trial_json.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/core/json_reader.hpp"

namespace kvtransfer {

namespace {

[[noreturn]] void refuse_journal(const std::filesystem::path& path, std::string_view expected) {
  fail<file_error>(path.string(), "journal", expected, std::generic_category().message(errno));
}

/// @throws file_error unless the run kept its trials in the form that this version has
void require_known_schema(const nlohmann::json& theirs, const std::filesystem::path& path) {
  const auto version = theirs.is_object() ? theirs.value("schema_version", nlohmann::json()) : nlohmann::json();
  if (version != detail::results_schema_version) {
    fail<file_error>(path.string(), "schema_version", fmt::format("{}, to be resumed", detail::results_schema_version),
                     excerpt(version));
  }
}

/// @throws value_error that names the first field in which the two differ
void require_same_run(const nlohmann::json& ours, const nlohmann::json& theirs, const std::filesystem::path& path) {
  if (ours == theirs) {
    return;
  }
  const nlohmann::json::json_pointer place(nlohmann::json::diff(theirs, ours).front().at("path").get<std::string>());
  const auto shown = [&](const nlohmann::json& document) {
    return document.contains(place) ? excerpt(document.at(place)) : std::string("nothing");
  };
  std::string field = place.to_string().substr(place.empty() ? 0 : 1);
  std::replace(field.begin(), field.end(), '/', '.');
  fail<value_error>("resume", field, fmt::format("{}, as in {}", shown(theirs), path.string()), shown(ours));
}

}  // namespace

journal::journal(std::filesystem::path path, const results& run, bool resume)
    : path_(std::move(path)), file_(std::make_unique<detail::file_lock>(path_)) {
  start(run, resume);
}

journal::~journal() = default;

const trial_record* journal::find(const trial_key& key) const {
  const auto found = trials_.find(key);
  return found == trials_.end() ? nullptr : &found->second;
}

void journal::append(const trial_key& key, const trial_record& trial) {
  write_line(detail::json_text(
      {{"test", key.test}, {"condition", key.condition}, {"trial", key.trial}, {"record", detail::full_json(trial)}}));
  trials_.insert_or_assign(key, trial);
}

void journal::start(const results& run, bool resume) {
  const std::size_t kept = resume ? read(run) : 0;
  if (::ftruncate(file_->descriptor(), static_cast<::off_t>(kept)) != 0) {
    refuse_journal(path_, "a file that can be written");
  }
  if (kept == 0) {
    write_line(detail::json_text(detail::run_identity(run)));
  }
}

std::size_t journal::read(const results& run) {
  const std::string text = read_text(path_);
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'), line = 1; end != text.npos; end = text.find('\n', begin), ++line) {
    const std::string where = fmt::format("{} line {}", path_.string(), line);
    const nlohmann::json content = parse_json(std::string_view(text).substr(begin, end - begin), where);
    if (line == 1) {
      require_known_schema(content, path_);
      require_same_run(nlohmann::json(detail::run_identity(run)), content, path_);
    } else {
      const json_reader entry(content, where);
      const trial_key key{entry.text("test"), entry.text("condition"), entry.member("trial").integer()};
      trials_.insert_or_assign(key, detail::read_trial(entry.object("record")));
    }
    begin = end + 1;
  }
  return begin;
}

void journal::write_line(std::string_view line) {
  const std::string whole = fmt::format("{}\n", line);
  for (std::size_t done = 0; done < whole.size();) {
    const ::ssize_t written = ::write(file_->descriptor(), whole.data() + done, whole.size() - done);
    if (written < 0 && errno != EINTR) {
      refuse_journal(path_, "room for the data");
    }
    done += written > 0 ? static_cast<std::size_t>(written) : 0;
  }
  if (::fdatasync(file_->descriptor()) != 0 && errno != EINVAL) {
    refuse_journal(path_, "data that reaches the disk");
  }
}

}  // namespace kvtransfer
