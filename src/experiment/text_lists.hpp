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

/// What commas part; a piece that begins with a digit goes with the one before: in `transfer+layers:0,2,zero` the comma
/// between numbers is the policy's.
[[nodiscard]] inline std::vector<std::string_view> list_items(std::string_view list) {
  std::vector<std::string_view> items;
  for (const std::string_view piece : split(list, ',')) {
    if (!items.empty() && !piece.empty() && piece.front() >= '0' && piece.front() <= '9') {
      items.back() = {items.back().data(), items.back().size() + 1 + piece.size()};
    } else {
      items.push_back(piece);
    }
  }
  return items;
}

}  // namespace kvtransfer::detail
