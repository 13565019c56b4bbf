#pragma once

#include <string>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// A condition's cell: every marker as a chip, filled where found, with a count where there are several trials.
[[nodiscard]] std::string html_cell(const test_case& test, const condition_record& record);

/// A published cell in the same form.
[[nodiscard]] std::string html_cell(const test_case& test, const reported_cell& cell);

/// The table in the report's form, beside the published one.
[[nodiscard]] std::string html_matrix(const results& run);

/// Cell by cell: what was published, what the reconstructed harness gives, what the condition of that name gives.
[[nodiscard]] std::string html_reconstruction(const results& run, const std::string& column,
                                              const condition_description& reconstruction);

}  // namespace kvtransfer::detail
