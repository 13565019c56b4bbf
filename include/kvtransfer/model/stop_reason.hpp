#pragma once

#include <string_view>

namespace kvtransfer {

/// Why a generation ended.
enum class stop_reason { eos, length };

/// As records have it.
[[nodiscard]] constexpr std::string_view to_string(stop_reason reason) {
  return reason == stop_reason::eos ? "eos" : "length";
}

}  // namespace kvtransfer
