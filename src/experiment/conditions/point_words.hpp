#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

#include "kvtransfer/experiment/condition_point.hpp"

namespace kvtransfer::detail {

// The words of a point's coordinates, each list in the order of its enumeration.
inline constexpr std::array<std::string_view, 2> prompt_words{"source", "target"};
inline constexpr std::array<std::string_view, 3> moment_words{"prompt", "generated", "generated_eos"};
inline constexpr std::array<std::string_view, 9> control_words{
    "none",           "noise",         "noise_sink_kept", "zero", "other_source", "shuffled_tokens", "shuffled_layers",
    "shuffled_heads", "shuffled_slots"};
inline constexpr std::array<std::string_view, 2> visibility_words{"shown", "hidden"};
inline constexpr std::array<std::string_view, 3> precision_words{"run", "bfloat16", "float16"};

/// The word of a value.
template <class Enum, std::size_t Count>
[[nodiscard]] constexpr std::string_view word_of(const std::array<std::string_view, Count>& words, Enum value) {
  return words[static_cast<std::size_t>(value)];
}

/// The value of a word; nothing where there is none.
template <class Enum, std::size_t Count>
[[nodiscard]] constexpr std::optional<Enum> value_of(const std::array<std::string_view, Count>& words,
                                                     std::string_view word) {
  for (std::size_t i = 0; i < Count; ++i) {
    if (words[i] == word) {
      return static_cast<Enum>(i);
    }
  }
  return std::nullopt;
}

}  // namespace kvtransfer::detail
