#pragma once

#include <cstdlib>
#include <string_view>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::fuzz {

/// Ends the program, which is what a fuzzer takes for a find, unless `holds`.
inline void insist(bool holds) {
  if (!holds) {
    std::abort();
  }
}

/// Insists that an error is one line, whatever the file holds that it tells of.
inline void insist_one_line(const error& refused) {
  insist(std::string_view(refused.what()).find('\n') == std::string_view::npos);
}

}  // namespace kvtransfer::fuzz
