#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE std::string one_line(std::string_view text) {
  std::string line;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = [&](std::size_t ahead) {
      return i + ahead < text.size() ? static_cast<unsigned char>(text[i + ahead]) : 0U;
    };
    if (byte(0) == '\n' || byte(0) == '\r' || byte(0) == '\t') {
      line += byte(0) == '\n' ? "\\n" : byte(0) == '\r' ? "\\r" : "\\t";
    } else if (byte(0) < 0x20 || byte(0) == 0x7F) {
      line += fmt::format("\\u{:04x}", byte(0));
    } else if (byte(0) == 0xC2 && byte(1) >= 0x80 && byte(1) < 0xA0) {  // U+0080 to U+009F
      line += fmt::format("\\u{:04x}", byte(1));
      i += 1;
    } else if (byte(0) == 0xE2 && byte(1) == 0x80 && (byte(2) == 0xA8 || byte(2) == 0xA9)) {  // U+2028, U+2029
      line += fmt::format("\\u{:04x}", byte(2) - 0xA8 + 0x2028);
      i += 2;
    } else {
      line += text[i];
    }
  }
  return line;
}

}  // namespace kvtransfer
