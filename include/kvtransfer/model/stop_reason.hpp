#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace kvtransfer {

/// Why a generation ended.
enum class stop_reason {
  eos,       ///< an end-of-text token was chosen
  length,    ///< as many tokens as asked for
  positions  ///< the model has no position for another token, see `position_limit`
};

/// The reasons' names in files, in the order of `stop_reason`.
inline constexpr std::array<std::string_view, 3> stop_reason_names = {"eos", "length", "positions"};

/// The reason's name in files.
[[nodiscard]] constexpr std::string_view to_string(stop_reason reason) {
  return stop_reason_names[static_cast<std::size_t>(reason)];
}

/// The reason of that name; nothing for another.
[[nodiscard]] constexpr std::optional<stop_reason> stop_reason_named(std::string_view name) {
  for (std::size_t i = 0; i < stop_reason_names.size(); ++i) {
    if (stop_reason_names[i] == name) {
      return static_cast<stop_reason>(i);
    }
  }
  return std::nullopt;
}

}  // namespace kvtransfer
