#pragma once

#include <string>

namespace kvtransfer {

/// A cell of a factorial that is no experiment of its own.
struct left_out_crossing {
  std::string crossing;  ///< `cache=prompt, keys=unrotated`
  std::string reason;    ///< why

  friend bool operator==(const left_out_crossing&, const left_out_crossing&) = default;
};

}  // namespace kvtransfer
