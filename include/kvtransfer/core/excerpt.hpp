#pragma once

#include <concepts>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace kvtransfer {

namespace detail {

[[nodiscard]] std::string excerpt_of_text(std::string_view text);

}  // namespace detail

/// Something found in a file, fit for a one-line message: JSON, so text is quoted and escaped, cut after 80 bytes.
[[nodiscard]] std::string excerpt(const nlohmann::json& value);

/// Text likewise, for which nobody needs to read what JSON is.
template <std::convertible_to<std::string_view> Text>
[[nodiscard]] std::string excerpt(const Text& text) {
  return detail::excerpt_of_text(text);
}

/// A shape likewise.
[[nodiscard]] std::string excerpt(const std::vector<std::int64_t>& shape);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/core/detail/excerpt.ipp"  // IWYU pragma: export
#endif
