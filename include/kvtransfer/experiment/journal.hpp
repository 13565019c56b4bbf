#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer {

namespace detail {
class line_file;
}

/// Which trial of a run.
struct trial_key {
  std::string test;         ///< its name
  std::string condition;    ///< its id
  std::int64_t trial = 0;   ///< from 0
  std::string inputs = {};  ///< what else it depends on, as the condition's `depends_on` has it; empty: nothing

  friend auto operator<=>(const trial_key&, const trial_key&) = default;
};

/// The finished trials of a run that may be interrupted at any moment, `records.jsonl`: a JSON object a line, a line a
/// trial, flat: a table's columns, and each says by which run of which model it was made. A line cut short by a kill is
/// dropped, and its trial runs again; a line that was changed since, which its last column `checksum` tells, is
/// refused.
///
/// A finished trial outlives its process, however that ends. The file is synced to the disk by a trial that finishes a
/// second or more after the last sync, and when the journal is closed: only a power failure may take
/// the trials kept since, and they run again.
///
/// A trial is known by its content: the test's prompts and markers, the condition, what that depends on beside (files,
/// another test's source, a projector), the seed. So a run that is resumed
/// may have more trials, conditions and tests than before, or fewer; what it does not ask for stays in the file.
class journal {
 public:
  /// Opens, or makes, the file, and keeps other runs out of it.
  /// @param run what is being run (planned or finished); trials kept of another run are not mixed with this one's
  /// @param resume keep the trials that are there; otherwise the file starts empty
  /// @throws file_error, full_disk_error if the file can't be written, is in use or is no journal; value_error that
  /// names the first difference if it holds trials of another model, program or setting
  journal(std::filesystem::path path, const results& run, bool resume);

  journal(const journal&) = delete;
  journal& operator=(const journal&) = delete;
  ~journal();

  /// Takes the trials of another journal of this run for finished too. They stay in that file alone, which nobody may
  /// write to meanwhile. @throws as the constructor
  void know(const std::filesystem::path& other);

  /// Puts the trials of other journals of this run, which nobody writes to any more, into this one's file: those that
  /// are not there yet, on the disk before this returns. Where a trial first differs from its reference is put into its
  /// line, if that was not known where it ran. @throws as the constructor and `append`
  void absorb(const std::vector<std::filesystem::path>& others);

  /// Finished trials.
  [[nodiscard]] std::size_t size() const;

  /// The trial, if it has finished already; null otherwise.
  [[nodiscard]] const trial_record* find(const trial_key& key) const;

  /// Keeps a finished trial: from here on a killed process leaves it to whoever resumes.
  /// @param reference the trial that it is compared with, if that has run: where they first differ is said beside
  /// @throws file_error, full_disk_error if it can't be written (the file is then as it was); value_error for a test or
  /// a condition that the run does not have
  void append(const trial_key& key, trial_record trial, const trial_record* reference = nullptr);

  /// The trial, if it has finished already, for who needs it last: from here on the journal has it in its file alone.
  [[nodiscard]] std::optional<trial_record> take(const trial_key& key);

 private:
  struct state;
  std::filesystem::path path_;
  std::unique_ptr<detail::line_file> file_;
  std::unique_ptr<state> state_;
};

}  // namespace kvtransfer
