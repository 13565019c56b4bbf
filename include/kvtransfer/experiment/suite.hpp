#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace kvtransfer {

/// One cell of a table that somebody published: the markers found, or that the run failed.
struct reported_cell {
  bool error = false;                ///< true where the published run failed
  std::vector<std::string> markers;  ///< those found, as published

  friend bool operator==(const reported_cell&, const reported_cell&) = default;
};

/// A pair of prompts and the words that tell whether the source's content shows in the target's continuation.
struct test_case {
  std::string name;                               ///< unique in its suite
  std::string source;                             ///< the prompt whose cache is carried over
  std::string target;                             ///< the prompt that is answered
  std::vector<std::string> markers;               ///< words that show the source's content
  std::vector<std::string> completed;             ///< prompts ("source", "target") that the suite's author completed
  std::string note;                               ///< what a reader should know about this test; may be empty
  std::map<std::string, reported_cell> reported;  ///< published result by condition; empty where none is known

  friend bool operator==(const test_case&, const test_case&) = default;
};

/// The tests of one experiment.
struct suite {
  std::string name;              ///< for records and tables
  std::string description;       ///< may be empty
  std::string reported_by;       ///< whose results the tests' `reported` fields hold; may be empty
  std::vector<test_case> tests;  ///< in the order in which they run

  friend bool operator==(const suite&, const suite&) = default;
};

/// Reads a suite's file. A JSON document `{name, description?, reported_by?, tests: [{name, source, target, markers,
/// …}]}`.
/// @throws file_error naming file, field, expected and found for any missing, mistyped, empty, repeated or unknown
/// field, or if the file can't be read or is not JSON
[[nodiscard]] suite read_suite(const std::filesystem::path& path);

}  // namespace kvtransfer
