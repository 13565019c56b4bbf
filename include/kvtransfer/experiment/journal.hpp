#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/experiment/object_reader.hpp"
#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/trial_json.hpp"

namespace kvtransfer {

/// Which trial of a run.
struct trial_key {
  std::string test;
  std::string condition;
  std::int64_t trial = 0;

  friend auto operator<=>(const trial_key&, const trial_key&) = default;
};

/// The finished trials of a run that may be interrupted at any moment: a file of one JSON document a line, the first of
/// which says what is being run. A line cut short by a kill is dropped, and its trial runs again.
class journal {
 public:
  /// Opens, or makes, the file, and keeps other runs out of it.
  /// @param identity what is being run; trials kept under another identity are not mixed with this run's
  /// @param resume keep the trials that are there; otherwise the file starts empty
  /// @throws file_error if the file can't be written, is in use or is no journal; value_error if it holds another run's
  /// trials
  journal(std::filesystem::path path, const nlohmann::ordered_json& identity, bool resume) : path_(std::move(path)) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
      complain("a file that can be written");
    }
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const int reason = errno;
      ::close(descriptor_);
      fail<file_error>(path_.string(), "journal", "one run at a time",
                       reason == EWOULDBLOCK ? "another run in progress" : std::generic_category().message(reason));
    }
    try {
      start(identity, resume);
    } catch (...) {
      ::close(descriptor_);
      throw;
    }
  }

  journal(const journal&) = delete;
  journal& operator=(const journal&) = delete;
  ~journal() { ::close(descriptor_); }

  std::size_t size() const { return trials_.size(); }

  /// The trial, if it has finished already; null otherwise.
  const trial_record* find(const trial_key& key) const {
    const auto found = trials_.find(key);
    return found == trials_.end() ? nullptr : &found->second;
  }

  /// Keeps a finished trial, on the disk before this returns. @throws file_error
  void append(const trial_key& key, const trial_record& trial) {
    write_line({{"test", key.test}, {"condition", key.condition}, {"trial", key.trial}, {"record", full_json(trial)}});
    trials_.insert_or_assign(key, trial);
  }

 private:
  void start(const nlohmann::ordered_json& identity, bool resume) {
    const std::size_t kept = resume ? read(identity) : 0;
    if (::ftruncate(descriptor_, static_cast<::off_t>(kept)) != 0) {
      complain("a file that can be written");
    }
    if (kept == 0) {
      write_line(identity);
    }
  }

  /// Takes over the whole lines of the file. @return their length in bytes
  std::size_t read(const nlohmann::ordered_json& identity) {
    const std::string text = read_text(path_);
    std::size_t begin = 0;
    for (std::size_t end = text.find('\n'), line = 1; end != text.npos; end = text.find('\n', begin), ++line) {
      const std::string where = fmt::format("{} line {}", path_.string(), line);
      const nlohmann::json entry = parse_json(std::string_view(text).substr(begin, end - begin), where);
      if (line == 1) {
        require_same_run(nlohmann::json(identity), entry);
      } else {
        take(object_reader(entry, where));
      }
      begin = end + 1;
    }
    return begin;
  }

  void take(const object_reader& entry) {
    const trial_key key{entry.text("test"), entry.text("condition"), entry.integer<std::int64_t>("trial")};
    trials_.insert_or_assign(key, read_trial(entry.object("record")));
  }

  void require_same_run(const nlohmann::json& ours, const nlohmann::json& theirs) const {
    if (ours == theirs) {
      return;
    }
    const nlohmann::json::json_pointer place(nlohmann::json::diff(theirs, ours).front().at("path").get<std::string>());
    const auto shown = [&](const nlohmann::json& document) {
      return document.contains(place) ? excerpt(document.at(place)) : std::string("nothing");
    };
    std::string field = place.to_string().substr(place.empty() ? 0 : 1);
    std::replace(field.begin(), field.end(), '/', '.');
    fail<value_error>("resume", field, fmt::format("{}, as in {}", shown(theirs), path_.string()), shown(ours));
  }

  void write_line(const nlohmann::ordered_json& entry) {
    const std::string line = json_text(entry) + "\n";
    for (std::size_t done = 0; done < line.size();) {
      const ::ssize_t written = ::write(descriptor_, line.data() + done, line.size() - done);
      if (written < 0 && errno != EINTR) {
        complain("room for the data");
      }
      done += written > 0 ? static_cast<std::size_t>(written) : 0;
    }
    if (::fdatasync(descriptor_) != 0 && errno != EINVAL) {
      complain("data that reaches the disk");
    }
  }

  [[noreturn]] void complain(std::string_view expected) const {
    fail<file_error>(path_.string(), "journal", expected, std::generic_category().message(errno));
  }

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::map<trial_key, trial_record> trials_;
};

}  // namespace kvtransfer
