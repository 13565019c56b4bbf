#pragma once

#include <cmath>

namespace kvtransfer::test {

/// Whether two documents differ in the last digits of floating-point numbers at most: sums are taken in another order
/// where other trials run beside.
template <class Json>
bool alike(const Json& a, const Json& b) {
  if (a.is_number_float() && b.is_number_float()) {
    return std::abs(a.template get<double>() - b.template get<double>()) < 1e-4;
  }
  if (!a.is_structured() || a.type() != b.type() || a.size() != b.size()) {
    return a == b;
  }
  for (auto left = a.begin(), right = b.begin(); left != a.end(); ++left, ++right) {
    if ((a.is_object() && left.key() != right.key()) || !alike(*left, *right)) {
      return false;
    }
  }
  return true;
}

}  // namespace kvtransfer::test
