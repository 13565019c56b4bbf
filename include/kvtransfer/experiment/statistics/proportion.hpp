#pragma once

#include <cstdint>

namespace kvtransfer::statistics {

/// A range that holds the true value with some confidence.
struct interval {
  double low = 0.0;   ///< included
  double high = 1.0;  ///< included

  /// Whether it lies inside (−margin, margin).
  [[nodiscard]] constexpr bool inside(double margin) const { return low > -margin && high < margin; }
  /// Whether `value` lies in it.
  [[nodiscard]] constexpr bool holds(double value) const { return low <= value && value <= high; }

  friend bool operator==(const interval&, const interval&) = default;
};

/// How often something happened in independent trials.
struct proportion {
  std::int64_t successes = 0;  ///< of the trials
  std::int64_t trials = 0;     ///< independent ones

  /// 0 for no trials.
  [[nodiscard]] constexpr double rate() const {
    return trials == 0 ? 0.0 : static_cast<double>(successes) / static_cast<double>(trials);
  }

  friend bool operator==(const proportion&, const proportion&) = default;
};

/// Two-sided confidence of an interval where nobody says otherwise.
inline constexpr double default_confidence = 0.95;
/// Error of a test where nobody says otherwise.
inline constexpr double default_alpha = 0.05;

/// Wilson's score interval; `[0, 1]` for no trials. It keeps about its confidence at few trials and does not collapse
/// to a point at none or all, as p ± z·√(p(1−p)/n) does.
/// @throws value_error unless 0 ≤ successes ≤ trials and 0 < confidence < 1
/// Source: E. B. Wilson, JASA 22 (1927), 209–212; L. D. Brown, T. T. Cai & A. DasGupta, Stat. Sci. 16 (2001)
[[nodiscard]] interval wilson(proportion observed, double confidence = default_confidence);

/// Clopper and Pearson's interval, which never covers less than its confidence and mostly more; `[0, 1]` for no trials.
/// For a claim that has to hold at worst; Wilson's for one that has to hold on average.
/// @throws value_error as `wilson`
/// Source: C. J. Clopper & E. S. Pearson, Biometrika 26 (1934), 404–413
[[nodiscard]] interval clopper_pearson(proportion observed, double confidence = default_confidence);

}  // namespace kvtransfer::statistics
