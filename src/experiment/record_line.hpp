#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/experiment/comparison.hpp"
#include "kvtransfer/experiment/journal.hpp"
#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// What of a run could change a number of a trial, column by column. A file holds trials of runs that agree in these.
[[nodiscard]] nlohmann::ordered_json run_columns(const results& run);

/// Where a trial comes from besides: suite, program, commit, command, date. Nothing of it is compared.
[[nodiscard]] nlohmann::ordered_json origin_columns(const results& run);

/// Which test, with a digest of its content.
[[nodiscard]] nlohmann::ordered_json test_columns(const test_case& test);

/// Which condition, and its levels of the run's factors, each a column of the factor's name.
[[nodiscard]] nlohmann::ordered_json condition_columns(const condition_description& condition);

/// Which trial of these, what it depends on beside, and what its draws were made with.
[[nodiscard]] nlohmann::ordered_json trial_columns(const trial_key& key, std::uint64_t seed);

/// Which trial a line is of: what the three above have put into it.
struct record_place {
  trial_key key;
  std::string test_digest;
};

/// @throws file_error naming the wrong field
[[nodiscard]] record_place read_place(const json_reader& line);

/// What came out, for columns of a table: `record_line` has token_ids, text and read besides.
[[nodiscard]] nlohmann::ordered_json outcome_columns(const test_case& test, const trial_record& trial);

/// The step of the first token that differs from the reference's; null where none does.
[[nodiscard]] nlohmann::ordered_json divergence_column(const std::optional<first_difference>& difference);

/// The text of a line, which ends in a checksum of all that stands in front of that.
[[nodiscard]] std::string sealed_text(const nlohmann::ordered_json& line);

/// @param text of a line
/// @param where file and line, for errors
/// @throws file_error unless the line is as `sealed_text` wrote it
void require_sealed(std::string_view text, std::string_view where);

/// All of `more` behind `line`.
void append_columns(nlohmann::ordered_json& line, const nlohmann::ordered_json& more);

}  // namespace kvtransfer::detail
