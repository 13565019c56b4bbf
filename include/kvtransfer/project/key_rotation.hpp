#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kvtransfer {

/// Which keys a projector reads and gives.
enum class key_rotation : std::uint8_t {
  rotated,   ///< as caches hold them: source and receiver have to stand at the same positions
  unrotated  ///< as they were before rotation: positions and rotary specifications may differ
};

/// `rotated` or `unrotated`, as files and reports spell it.
constexpr std::string_view to_string(key_rotation rotation) {
  constexpr std::array<std::string_view, 2> names{"rotated", "unrotated"};
  return names[static_cast<std::size_t>(rotation)];
}

/// The one of that name; nothing where there is none.
constexpr std::optional<key_rotation> key_rotation_named(std::string_view name) {
  for (const key_rotation rotation : {key_rotation::rotated, key_rotation::unrotated}) {
    if (name == to_string(rotation)) {
      return rotation;
    }
  }
  return std::nullopt;
}

}  // namespace kvtransfer
