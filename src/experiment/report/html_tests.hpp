#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// Escaped text with every occurrence of a marker highlighted.
[[nodiscard]] std::string html_marked(std::string_view text, const std::vector<std::string>& markers);

/// What each condition read and generated, test by test.
[[nodiscard]] std::string html_texts(const results& run);

}  // namespace kvtransfer::detail
