#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "kvtransfer/experiment/suite.hpp"

namespace kvtransfer::detail {

/// Reads a suite from a JSON document `{name, description?, reported_by?, tests: [{name, source, target, markers,
/// …}]}`.
/// @param file name to put in front of complaints
/// @throws file_error naming file, field, expected and found for any missing, mistyped, empty, repeated or unknown
/// field
[[nodiscard]] suite parse_suite(const nlohmann::json& document, const std::string& file);

}  // namespace kvtransfer::detail
