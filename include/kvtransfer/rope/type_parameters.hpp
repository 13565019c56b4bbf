#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_reader.hpp"

namespace kvtransfer::rope {

/// What a rotary type computes its frequencies from: one layer's rotary parameters, already free of config spellings.
struct type_parameters {
  nlohmann::json values = nlohmann::json::object();  ///< `rope_type`, `rope_theta`, `factor`, … of this layer
  std::int64_t head_dim = 0;                         ///< elements
  std::int64_t max_position_embeddings = 0;          ///< tokens; 0 where the config has none

  /// Whether there is such a parameter, other than null.
  [[nodiscard]] bool has(std::string_view key) const { return fields().find(key).has_value(); }

  /// @throws value_error if `key` is missing or not a finite number
  [[nodiscard]] double number(std::string_view key) const { return stated(key, "a finite number").finite_number(); }

  /// Nothing where there is none. @throws value_error for anything but a finite number
  [[nodiscard]] std::optional<double> optional_number(std::string_view key) const;

  /// @throws value_error unless `key` is a finite number above zero
  [[nodiscard]] double positive(std::string_view key) const;

  /// @throws shape_error unless `key` lists `count` numbers
  [[nodiscard]] std::vector<float> positive_list(std::string_view key, std::int64_t count) const;

  /// @throws value_error unless `key` lists whole numbers
  [[nodiscard]] std::vector<std::int64_t> whole_numbers(std::string_view key) const;

  /// θ, the base of the geometric series of wavelengths.
  [[nodiscard]] double theta() const { return positive("rope_theta"); }

  /// The share of a head that rotates; 1 where the config has none. @throws value_error unless it is a number
  [[nodiscard]] double partial_rotary_factor() const { return optional_number("partial_rotary_factor").value_or(1.0); }

  /// Elements of a head that rotate, the d of θ^(−2i/d). Where it is odd (MiMo-V2), the last pair takes one element
  /// more.
  /// @throws value_error unless they make pairs within the head
  [[nodiscard]] std::int64_t rotary_dim() const;

  /// Frequencies: one for each pair of elements that rotates.
  [[nodiscard]] std::int64_t pairs() const { return (rotary_dim() + 1) / 2; }

  /// What `key` says as a condition in Python: null, 0 and false are false. `otherwise` where it is missing.
  [[nodiscard]] bool truth(std::string_view key, bool otherwise) const;

  /// Tokens the model was trained on before its context was extended.
  [[nodiscard]] double original_length() const { return positive("original_max_position_embeddings"); }

  /// @throws value_error where the config has none
  [[nodiscard]] double max_length() const;

 private:
  /// Far more than any head has: more is a mistake in the file.
  static constexpr std::int64_t most_elements = 65536;

  [[nodiscard]] basic_json_reader<value_error> fields() const { return {values, "rope_parameters"}; }

  [[nodiscard]] basic_json_reader<value_error> stated(std::string_view key, std::string_view expected) const;
};

}  // namespace kvtransfer::rope

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/rope/detail/type_parameters.ipp"  // IWYU pragma: export
#endif
