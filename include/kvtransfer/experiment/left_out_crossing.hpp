#pragma once

#include <map>
#include <string>

namespace kvtransfer {

/// A cell of a factorial that is not run: it is no experiment of its own, or none that this model and suite allow.
struct left_out_crossing {
  std::string crossing;  ///< as `crossing_text` has it
  std::string reason;    ///< why

  friend bool operator==(const left_out_crossing&, const left_out_crossing&) = default;
};

/// A cell by its levels: `cache=prompt, keys=unrotated`.
/// @param levels by factor
[[nodiscard]] std::string crossing_text(const std::map<std::string, std::string>& levels);

}  // namespace kvtransfer
