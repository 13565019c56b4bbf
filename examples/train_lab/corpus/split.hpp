#pragma once

#include <cstdint>
#include <string_view>

namespace kvtransfer::corpus {

/// Which half of the invented names a text may use.
enum class split { training, held_out };

/// The split that a name belongs to, by its letters alone: one name in eight is held out.
///
/// No list is kept. A training text and an evaluation case made years apart, with any seed, never share a name.
/// Source: FNV-1a, 64 bits (draft-eastlake-fnv).
constexpr split split_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char letter : name) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3ULL;
  }
  return (hash >> 32) % 8 == 0 ? split::held_out : split::training;
}

}  // namespace kvtransfer::corpus
