#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kvtransfer::detail {

/// The text without white space at its ends: what Python's str.strip() and Jinja's `trim` leave.
/// @param text UTF-8
[[nodiscard]] std::string_view strip_left(std::string_view text);
[[nodiscard]] std::string_view strip_right(std::string_view text);
[[nodiscard]] std::string_view strip(std::string_view text);

/// The byte offsets at which code points begin, and the text's length behind them: n + 1 entries for n code points.
[[nodiscard]] std::vector<std::size_t> code_point_offsets(std::string_view text);

}  // namespace kvtransfer::detail
