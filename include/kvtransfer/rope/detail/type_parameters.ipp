#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/rope/type_parameters.hpp"

namespace kvtransfer::rope {

KVTRANSFER_INLINE std::optional<double> type_parameters::optional_number(std::string_view key) const {
  return has(key) ? std::optional<double>(number(key)) : std::nullopt;
}

KVTRANSFER_INLINE double type_parameters::positive(std::string_view key) const {
  return stated(key, "a number above zero").positive_number();
}

KVTRANSFER_INLINE std::vector<float> type_parameters::positive_list(std::string_view key, std::int64_t count) const {
  const auto list = fields().find(key);
  const bool is_list = list && list->value().is_array();
  require<shape_error>(is_list && static_cast<std::int64_t>(list->size()) == count, "rope_parameters", key,
                       formatted("{} numbers, one per frequency", count), [&] {
                         return is_list ? fmt::format("{}", list->size()) : list ? excerpt(list->value()) : "nothing";
                       });
  std::vector<float> numbers;
  list->for_each_item([&](const auto& entry) { numbers.push_back(static_cast<float>(entry.positive_number())); });
  return numbers;
}

KVTRANSFER_INLINE std::vector<std::int64_t> type_parameters::whole_numbers(std::string_view key) const {
  return stated(key, "a list of integers").integers();
}

KVTRANSFER_INLINE std::int64_t type_parameters::rotary_dim() const {
  const double elements = std::floor(static_cast<double>(head_dim) * partial_rotary_factor());
  const auto most = static_cast<double>(std::min(head_dim, most_elements));
  require<value_error>((elements >= 1 && elements + std::fmod(elements, 2) <= most), "rope_parameters",
                       "partial_rotary_factor", formatted("1 to {} rotary elements", most), formatted("{}", elements));
  return static_cast<std::int64_t>(elements);
}

KVTRANSFER_INLINE bool type_parameters::truth(std::string_view key, bool otherwise) const {
  const auto value = fields().find(key);
  return value ? value->value() != false && value->value() != 0 : otherwise && !fields().contains(key);
}

KVTRANSFER_INLINE double type_parameters::max_length() const {
  require<value_error>(max_position_embeddings > 0, "config", "max_position_embeddings", "a number above zero",
                       fmt::format("{}", max_position_embeddings));
  return static_cast<double>(max_position_embeddings);
}

KVTRANSFER_INLINE basic_json_reader<value_error> type_parameters::stated(std::string_view key,
                                                                         std::string_view expected) const {
  if (!has(key)) {
    fields().refuse(key, expected);
  }
  return fields().member(key);
}

}  // namespace kvtransfer::rope
