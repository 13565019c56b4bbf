#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::statistics::detail {

/// A probability that is neither 0 nor 1.
inline void require_fraction(std::string_view where, std::string_view what, double value) {
  if (!(value > 0 && value < 1)) {
    fail<value_error>(where, what, "above 0 and below 1", fmt::format("{}", value));
  }
}

inline void require_positive(std::string_view where, std::string_view what, double value) {
  if (!(value > 0 && std::isfinite(value))) {
    fail<value_error>(where, what, "a finite number above 0", fmt::format("{}", value));
  }
}

/// At least `least` values, all finite.
inline void require_finite(std::string_view where, std::string_view what, std::span<const double> values,
                           std::size_t least = 1) {
  if (values.size() < least) {
    fail<shape_error>(where, what, fmt::format("{} or more values", least), fmt::format("{}", values.size()));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      fail<value_error>(where, fmt::format("{}[{}]", what, i), "a finite number", fmt::format("{}", values[i]));
    }
  }
}

inline void require_length(std::string_view where, std::string_view what, std::size_t expected, std::size_t got) {
  if (expected != got) {
    fail<shape_error>(where, what, fmt::format("{} values", expected), fmt::format("{}", got));
  }
}

}  // namespace kvtransfer::statistics::detail
