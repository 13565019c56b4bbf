#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// JSON text of a value; bytes that are no UTF-8 become U+FFFD instead of an error.
[[nodiscard]] std::string json_text(const nlohmann::ordered_json& value, int indent = -1);

/// The fields that the results file gives a trial.
[[nodiscard]] nlohmann::ordered_json to_json_value(const trial_record& trial);

/// Margins as numbers; one that is not finite reads null.
[[nodiscard]] nlohmann::ordered_json margins_to_json(const std::vector<double>& margins);

/// Everything known of a trial.
[[nodiscard]] nlohmann::ordered_json full_json(const trial_record& trial);

/// The inverse of `full_json`. @throws file_error naming the wrong field
[[nodiscard]] trial_record read_trial(const json_reader& fields);

}  // namespace kvtransfer::detail
