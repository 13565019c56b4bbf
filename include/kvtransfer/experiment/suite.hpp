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
  std::vector<std::string> foils = {};      ///< words that a wrong answer of the same kind would hold; may be empty
  std::vector<std::string> forbidden = {};  ///< markers whose presence makes the test a failure; may be empty
  std::string group = {};        ///< the template it was made from: tests of one stand or fall together; empty: none
  std::string item = {};         ///< what it is a variant of; empty: of nothing
  std::string variant = {};      ///< which one: tests of one item are compared with one another; empty with no item
  std::string prompt_form = {};  ///< "raw" or "chat"; empty: what the run has
  bool whole_words = false;      ///< whether a marker counts only where no letter or digit stands beside it

  friend bool operator==(const test_case&, const test_case&) = default;
};

/// The tests of one experiment.
struct suite {
  std::string name;              ///< for records and tables
  std::string description;       ///< may be empty
  std::string reported_by;       ///< whose results the tests' `reported` fields hold; may be empty
  std::vector<test_case> tests;  ///< in the order in which they run
  std::string metric =
      "success";  ///< what it asks about: "success" (markers) or "stalled" (whether a model ends at once)

  friend bool operator==(const suite&, const suite&) = default;
};

/// Reads a suite's file. A JSON document `{name, description?, reported_by?, metric?, tests: [{name, source, target,
/// markers, foils?, forbidden_markers?, group?, item?, variant?, prompt_form?, whole_words?, completed?, note?,
/// reported?}]}`.
/// @throws file_error naming file, field, expected and found for any missing, mistyped, empty, repeated or unknown
/// field, or if the file can't be read or is not JSON
[[nodiscard]] suite read_suite(const std::filesystem::path& path);

/// The suite as such a file: what `read_suite` reads back as the same.
[[nodiscard]] std::string suite_text(const suite& tests);

/// Tells one test from another of its name: XXH3-128 of everything that decides on its prompts and on its outcome, 32
/// hexadecimal digits. Notes and published cells don't.
[[nodiscard]] std::string digest_of(const test_case& test);

/// Likewise of all tests, in order.
[[nodiscard]] std::string digest_of(const suite& tests);

/// The variants of a suite's tests, in order of appearance; empty where it has none.
[[nodiscard]] std::vector<std::string> variants_of(const suite& tests);

}  // namespace kvtransfer
