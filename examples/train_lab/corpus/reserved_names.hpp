#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace kvtransfer::corpus {

/// The names of the built-in suite, in lower case. No training text holds one, in any case or as part of a longer word:
/// where a trained model says it, it has read it in its cache.
inline constexpr std::array<std::string_view, 4> reserved_names{"lyra", "seattle", "zephyr", "aurora"};

/// Whether an ASCII text holds a reserved name, upper and lower case alike.
inline bool holds_reserved_name(std::string_view text) {
  const auto same_letter = [](char written, char reserved) {
    return (written >= 'A' && written <= 'Z' ? static_cast<char>(written - 'A' + 'a') : written) == reserved;
  };
  return std::any_of(reserved_names.begin(), reserved_names.end(), [&](std::string_view name) {
    return std::search(text.begin(), text.end(), name.begin(), name.end(), same_letter) != text.end();
  });
}

}  // namespace kvtransfer::corpus
