#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::rope {

/// What a rotary type computes its frequencies from: one layer's rotary parameters, already free of config spellings.
struct type_parameters {
  nlohmann::json values = nlohmann::json::object();  ///< `rope_type`, `rope_theta`, `factor`, … of this layer
  std::int64_t head_dim = 0;                         ///< elements
  std::int64_t max_position_embeddings = 0;          ///< tokens; 0 where the config has none

  /// Whether there is such a parameter, other than null.
  bool has(const char* key) const { return values.contains(key) && !values.at(key).is_null(); }

  /// @throws value_error if `key` is missing or not a finite number
  double number(const char* key) const {
    if (!has(key) || !values.at(key).is_number() || !std::isfinite(values.at(key).get<double>())) {
      fail<value_error>("rope_parameters", key, "a finite number", shown(key));
    }
    return values.at(key).get<double>();
  }

  /// Nothing where there is none. @throws value_error for anything but a finite number
  std::optional<double> optional_number(const char* key) const {
    return has(key) ? std::optional<double>(number(key)) : std::nullopt;
  }

  /// @throws value_error unless `key` is a finite number above zero
  double positive(const char* key) const {
    const double value = number(key);
    require<value_error>(value > 0, "rope_parameters", key, "a number above zero", shown(key));
    return value;
  }

  /// @throws shape_error unless `key` lists `count` numbers
  std::vector<float> positive_list(const char* key, std::int64_t count) const {
    if (!has(key) || !values.at(key).is_array() || static_cast<std::int64_t>(values.at(key).size()) != count) {
      fail<shape_error>("rope_parameters", key, fmt::format("{} numbers, one per frequency", count),
                        has(key) && values.at(key).is_array() ? fmt::format("{}", values.at(key).size()) : shown(key));
    }
    std::vector<float> list;
    for (const nlohmann::json& entry : values.at(key)) {
      if (!entry.is_number() || !(entry.get<double>() > 0)) {
        fail<value_error>("rope_parameters", key, "numbers above zero", entry.dump());
      }
      list.push_back(static_cast<float>(entry.get<double>()));
    }
    return list;
  }

  /// @throws value_error unless `key` lists whole numbers
  std::vector<std::int64_t> whole_numbers(const char* key) const {
    const auto is_whole = [](const nlohmann::json& entry) { return entry.is_number_integer(); };
    if (!has(key) || !values.at(key).is_array() || !std::ranges::all_of(values.at(key), is_whole)) {
      fail<value_error>("rope_parameters", key, "a list of whole numbers", shown(key));
    }
    return values.at(key).get<std::vector<std::int64_t>>();
  }

  /// θ, the base of the geometric series of wavelengths.
  double theta() const { return positive("rope_theta"); }

  /// The share of a head that rotates; 1 where the config has none. @throws value_error unless it is a number
  double partial_rotary_factor() const { return optional_number("partial_rotary_factor").value_or(1.0); }

  /// Elements of a head that rotate, the d of θ^(−2i/d). Where it is odd (MiMo-V2), the last pair takes one element
  /// more.
  /// @throws value_error unless they make pairs within the head
  std::int64_t rotary_dim() const {
    const double elements = std::floor(static_cast<double>(head_dim) * partial_rotary_factor());
    const auto most = static_cast<double>(std::min(head_dim, most_elements));
    if (!(elements >= 1 && elements + std::fmod(elements, 2) <= most)) {
      fail<value_error>("rope_parameters", "partial_rotary_factor", fmt::format("1 to {} rotary elements", most),
                        fmt::format("{}", elements));
    }
    return static_cast<std::int64_t>(elements);
  }

  /// Frequencies: one for each pair of elements that rotates.
  std::int64_t pairs() const { return (rotary_dim() + 1) / 2; }

  /// What `key` says as a condition in Python: null, 0 and false are false. `otherwise` where it is missing.
  bool truth(const char* key, bool otherwise) const {
    if (!values.contains(key)) {
      return otherwise;
    }
    const nlohmann::json& value = values.at(key);
    return !value.is_null() && value != false && value != 0;
  }

  /// Tokens the model was trained on before its context was extended.
  double original_length() const { return positive("original_max_position_embeddings"); }

  /// @throws value_error where the config has none
  double max_length() const {
    require<value_error>(max_position_embeddings > 0, "config", "max_position_embeddings", "a number above zero",
                         fmt::format("{}", max_position_embeddings));
    return static_cast<double>(max_position_embeddings);
  }

 private:
  /// Far more than any head has: more is a mistake in the file.
  static constexpr std::int64_t most_elements = 65536;

  std::string shown(const char* key) const { return values.contains(key) ? values.at(key).dump() : "nothing"; }
};

}  // namespace kvtransfer::rope
