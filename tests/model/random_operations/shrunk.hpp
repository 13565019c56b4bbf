#pragma once

// What is left of a failing sequence once everything is gone that it fails without.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "model/random_operations/operation.hpp"

namespace kvtransfer::test {

/// The shortest and plainest sequence found that still fails: parts are left out, then numbers made smaller, as long as
/// either helps.
inline std::vector<operation> shrunk(std::vector<operation> failing,
                                     const std::function<bool(const std::vector<operation>&)>& fails) {
  for (bool helped = true; helped;) {
    helped = false;
    for (std::size_t count = failing.size(); count > 0; --count) {
      for (std::size_t begin = 0; begin + count <= failing.size();) {
        std::vector<operation> shorter = failing;
        const auto from = shorter.begin() + static_cast<std::ptrdiff_t>(begin);
        shorter.erase(from, from + static_cast<std::ptrdiff_t>(count));
        if (fails(shorter)) {
          failing = std::move(shorter);
          helped = true;
        } else {
          ++begin;
        }
      }
    }
    for (std::size_t i = 0; i < failing.size() * 4; ++i) {
      const std::uint32_t number = failing[i / 4].numbers[i % 4];
      for (const std::uint32_t smaller : {0U, 1U, number / 2}) {
        std::vector<operation> plainer = failing;
        plainer[i / 4].numbers[i % 4] = smaller;
        if (smaller < number && fails(plainer)) {
          failing = std::move(plainer);
          helped = true;
          break;
        }
      }
    }
  }
  return failing;
}

}  // namespace kvtransfer::test
