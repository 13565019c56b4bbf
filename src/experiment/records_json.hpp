#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "experiment/trial_json.hpp"
#include "kvtransfer/experiment/comparison.hpp"
#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/statistics/proportion.hpp"

namespace kvtransfer::detail {

/// Version of the results file's layout.
inline constexpr int results_schema_version = 2;

/// A text; null where it is empty.
[[nodiscard]] nlohmann::ordered_json text_or_null(const std::string& text);

[[nodiscard]] nlohmann::ordered_json to_json_value(const run_settings& settings);

[[nodiscard]] nlohmann::ordered_json to_json_value(const program_info& program);

[[nodiscard]] nlohmann::ordered_json to_json_value(const run_cost& cost);

[[nodiscard]] nlohmann::ordered_json to_json_value(const model_info& model);

[[nodiscard]] nlohmann::ordered_json to_json_value(statistics::proportion observed, bool with_interval);

[[nodiscard]] nlohmann::ordered_json to_json_value(const comparison& compared);

/// One condition of one test: its trials, then what follows from them.
[[nodiscard]] nlohmann::ordered_json to_json_value(const results& run, const test_record& test,
                                                   const condition_record& record);

/// A test as the results file shows it, without its outcome.
[[nodiscard]] nlohmann::ordered_json to_json_value(const test_case& test);

/// Type and parameters of a model's rotary embedding; null where the record has none.
[[nodiscard]] nlohmann::ordered_json rope_json(const model_info& model);

/// The crossings that a factorial left out.
[[nodiscard]] nlohmann::ordered_json to_json_value(const std::vector<left_out_crossing>& left_out);

/// The results file's document.
[[nodiscard]] nlohmann::ordered_json to_json_value(const results& run);

/// The results file's text, given out condition by condition: as one document it takes several times the records'
/// memory.
void write_report_json(const results& run, const std::function<void(std::string_view)>& write);

}  // namespace kvtransfer::detail
