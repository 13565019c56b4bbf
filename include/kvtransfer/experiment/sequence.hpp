#pragma once

#include <array>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string_view>
#include <vector>

#include "kvtransfer/core/enum_names.hpp"
#include "kvtransfer/core/slot_range.hpp"

namespace kvtransfer {

/// What a part of the sequence that a model reads consists of.
enum class token_role {
  format,     ///< what a chat format puts around the prompts, the system text included
  bos,        ///< beginning-of-sequence token
  source,     ///< the source prompt
  target,     ///< the target prompt
  generated,  ///< tokens that the model itself made
  eos,        ///< end-of-sequence token
  noise,      ///< random keys and values, no tokens
};

/// Names used in files and reports, in the order of `token_role`.
inline constexpr std::array<std::string_view, 7> token_role_names{"format",    "bos", "source", "target",
                                                                  "generated", "eos", "noise"};

/// The name used in files and reports.
[[nodiscard]] constexpr std::string_view name_of(token_role role) { return name_of(token_role_names, role); }

/// The role of that name; nothing if there is none.
[[nodiscard]] constexpr std::optional<token_role> token_role_named(std::string_view name) {
  return value_named<token_role>(token_role_names, name);
}

/// A part of the sequence in front of the first generated token.
struct sequence_part {
  token_role role = token_role::target;      ///< whose it is
  std::int64_t tokens = 0;                   ///< or slots, where it has no tokens
  bool injected = false;                     ///< present as cached keys and values, not fed as tokens
  std::vector<std::int64_t> token_ids = {};  ///< empty where it has none, or they are not known
  std::vector<slot_range> positions = {};    ///< those that follow one another, left to right; empty until it is placed

  friend bool operator==(const sequence_part&, const sequence_part&) = default;
};

/// Everything in front of the first generated token, left to right.
using sequence = std::vector<sequence_part>;

/// One sequence behind the other.
[[nodiscard]] inline sequence joined(sequence parts, const sequence& more) {
  parts.insert(parts.end(), more.begin(), more.end());
  return parts;
}

/// Its length in tokens.
[[nodiscard]] inline std::int64_t length_of(const sequence& parts) {
  return std::accumulate(parts.begin(), parts.end(), std::int64_t{0},
                         [](std::int64_t sum, const sequence_part& part) { return sum + part.tokens; });
}

}  // namespace kvtransfer
