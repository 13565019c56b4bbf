#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/architecture.hpp"

namespace kvtransfer::rope {

KVTRANSFER_INLINE const architecture& architecture_of(const architecture_table& table, std::string_view model_type) {
  const auto found = table.find(model_type);
  if (found == table.end()) {
    std::vector<std::string_view> known;
    for (const auto& [name, each] : table) {
      if (each.refused.empty()) {
        known.push_back(name);
      }
    }
    fail<value_error>("config", "model_type", fmt::format("one of {}", fmt::join(known, ", ")),
                      model_type.empty() ? "none" : fmt::format("\"{}\"", model_type));
  }
  return found->second;
}

}  // namespace kvtransfer::rope
