#pragma once

#include <string>
#include <string_view>

namespace kvtransfer::detail {

/// Text as HTML content or a quoted attribute shows it; a model may generate anything, bytes that are no UTF-8
/// included.
[[nodiscard]] std::string html_escape(std::string_view text);

}  // namespace kvtransfer::detail
