#pragma once

namespace kvtransfer {

/// Compiles only behind a header that includes <string_view>.
constexpr std::string_view name = "name";

}  // namespace kvtransfer
