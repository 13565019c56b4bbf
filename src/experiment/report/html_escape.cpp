#include "experiment/report/html_escape.hpp"

#include <nlohmann/json.hpp>

namespace kvtransfer::detail {

std::string html_escape(std::string_view text) {
  const std::string valid =
      nlohmann::json::parse(nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))
          .get<std::string>();
  std::string escaped;
  for (const char letter : valid) {
    switch (letter) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        // HTML has no way to write control characters other than tab and the line ends.
        escaped += static_cast<unsigned char>(letter) < 0x20 && letter != '\n' && letter != '\t' ? std::string("\uFFFD")
                                                                                                 : std::string{letter};
    }
  }
  return escaped;
}

}  // namespace kvtransfer::detail
