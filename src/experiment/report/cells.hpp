#pragma once

#include <string>
#include <vector>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// What a table prints for a condition that this model can't run.
inline constexpr const char* not_applicable_text = "not applicable";

/// A table's cell in the report's form: `[Lyra, Seattle]`; of several trials `[Lyra 8/10, Seattle 3/10]`.
[[nodiscard]] std::string cell_text(const test_case& test, const condition_record& record);

/// A published cell in the same form.
[[nodiscard]] std::string cell_text(const reported_cell& cell);

/// Whether a condition's usual markers are those of a published cell; an error agrees with nothing.
[[nodiscard]] bool agrees(const reported_cell& published, const test_case& test, const condition_record& record);

/// The published columns of a run's tests, in the report's order where it has one.
[[nodiscard]] std::vector<std::string> published_columns(const results& run);

/// The heading of a published column: that of the condition of the same name, where it ran.
[[nodiscard]] std::string column_title(const results& run, const std::string& column);

}  // namespace kvtransfer::detail
