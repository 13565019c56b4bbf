#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

namespace kvtransfer::detail {

/// What a separator parts, empty pieces included.
[[nodiscard]] inline std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    pieces.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return pieces;
}

}  // namespace kvtransfer::detail
