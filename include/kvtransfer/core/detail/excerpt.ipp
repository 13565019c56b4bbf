#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/excerpt.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE std::string excerpt(const nlohmann::json& value) {
  constexpr std::size_t longest = 80;
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > longest) {
    text.resize(longest);
    text += "...";
  }
  return text;
}

KVTRANSFER_INLINE std::string detail::excerpt_of_text(std::string_view text) { return excerpt(nlohmann::json(text)); }

KVTRANSFER_INLINE std::string excerpt(const std::vector<std::int64_t>& shape) { return excerpt(nlohmann::json(shape)); }

}  // namespace kvtransfer
