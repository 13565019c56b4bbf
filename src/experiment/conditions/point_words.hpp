#pragma once

#include <array>
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

}  // namespace kvtransfer::detail
