#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer {

namespace detail {
class file_lock;
}

/// Which trial of a run.
struct trial_key {
  std::string test;        ///< its name
  std::string condition;   ///< its id
  std::int64_t trial = 0;  ///< from 0

  friend auto operator<=>(const trial_key&, const trial_key&) = default;
};

/// The finished trials of a run that may be interrupted at any moment: a file of one JSON document a line, the first of
/// which says what is being run. A line cut short by a kill is dropped, and its trial runs again.
class journal {
 public:
  /// Opens, or makes, the file, and keeps other runs out of it.
  /// @param run what is being run (planned or finished); trials kept of another run are not mixed with this one's
  /// @param resume keep the trials that are there; otherwise the file starts empty
  /// @throws file_error if the file can't be written, is in use or is no journal; value_error if it holds another run's
  /// trials
  journal(std::filesystem::path path, const results& run, bool resume);

  journal(const journal&) = delete;
  journal& operator=(const journal&) = delete;
  ~journal();

  /// Finished trials.
  [[nodiscard]] std::size_t size() const { return trials_.size(); }

  /// The trial, if it has finished already; null otherwise.
  [[nodiscard]] const trial_record* find(const trial_key& key) const;

  /// Keeps a finished trial, on the disk before this returns. @throws file_error
  void append(const trial_key& key, const trial_record& trial);

 private:
  void start(const results& run, bool resume);
  /// Takes over the whole lines of the file. @return their length in bytes
  std::size_t read(const results& run);
  void write_line(std::string_view line);

  std::filesystem::path path_;
  std::unique_ptr<detail::file_lock> file_;
  std::map<trial_key, trial_record> trials_;
};

}  // namespace kvtransfer
