#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace kvtransfer {

/// The name of a value: `names` has one for each value of the enumeration, counted from 0, in its order.
/// @throws std::out_of_range for a value past them
template <class Enum, std::size_t Count>
[[nodiscard]] constexpr std::string_view name_of(const std::array<std::string_view, Count>& names, Enum value) {
  return names.at(static_cast<std::size_t>(value));
}

/// The value of a name; nothing where there is none.
template <class Enum, std::size_t Count>
[[nodiscard]] constexpr std::optional<Enum> value_named(const std::array<std::string_view, Count>& names,
                                                        std::string_view name) {
  for (std::size_t i = 0; i < Count; ++i) {
    if (names[i] == name) {
      return static_cast<Enum>(i);
    }
  }
  return std::nullopt;
}

}  // namespace kvtransfer
