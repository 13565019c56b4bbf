#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"

namespace kvtransfer::detail {

/// A frame's positions and slot states as the two tensors that a file holds. No torch: a hostile file meets this first.
struct slot_tensors {
  std::vector<std::int64_t> shape;      ///< `[streams, batch, kv_heads or 1, seq]`; states lack the streams
  std::vector<std::int64_t> positions;  ///< row-major, tokens; padding reads 0
  std::vector<std::int32_t> states;     ///< row-major: a specification's index, -1 never rotated, -2 padding
};

inline constexpr std::int32_t unrotated_code = -1;
inline constexpr std::int32_t padding_code = -2;

inline std::int32_t code_of(slot_state state) {
  return state.is_padding() ? padding_code : state.is_unrotated() ? unrotated_code : state.specification();
}

inline bool is_representable(std::int64_t position) {
  return position >= -cache_format::largest_position && position <= cache_format::largest_position;
}

/// Element `index` of a tensor's bytes, which need not be aligned.
template <class Scalar>
Scalar element(std::span<const std::byte> bytes, std::size_t index) {
  Scalar value{};
  std::memcpy(&value, bytes.data() + index * sizeof(Scalar), sizeof(Scalar));
  return value;
}

/// Writes positions out slot by slot.
/// @throws value_error for a position that angles cannot be computed for
inline slot_tensors spread_out(const position_map& map) {
  slot_tensors tensors{{map.streams(), map.batch(), map.heads(), map.size()}, {}, {}};
  const auto with_states = static_cast<std::size_t>(map.batch() * map.heads());
  for (std::size_t row = 0; row < map.rows().size(); ++row) {
    for (const position_run& slot : map.rows()[row].one_run_per_slot()) {
      require<value_error>(is_representable(slot.first), "spread_out", "position", "within 2^53 of 0",
                           formatted("{}", slot.first));
      tensors.positions.push_back(slot.state.is_padding() ? 0 : slot.first);
      if (row < with_states) {
        tensors.states.push_back(code_of(slot.state));
      }
    }
  }
  return tensors;
}

/// Puts positions back together from a file's bytes.
class slot_reader {
 public:
  /// @param shape `[streams, batch, kv_heads or 1, seq]`, no extent but the last 0, its elements all in `positions`
  /// @param positions int64, as `slot_tensors::positions`
  /// @param states int32, as `slot_tensors::states`
  /// @param specifications how many there are to name
  slot_reader(std::vector<std::int64_t> shape, std::span<const std::byte> positions, std::span<const std::byte> states,
              std::size_t specifications)
      : shape_(std::move(shape)), positions_(positions), states_(states), specifications_(specifications) {}

  /// @param file named in errors, with the tensors' names
  /// @throws file_error for a position out of range or a state that names nothing
  [[nodiscard]] position_map read(std::string_view file, std::string_view positions_name,
                                  std::string_view states_name) const {
    const auto rows_with_states = static_cast<std::size_t>(shape_[1] * shape_[2]);
    const auto seq = static_cast<std::size_t>(shape_[3]);
    std::vector<position_row> rows(static_cast<std::size_t>(shape_[0]) * rows_with_states);
    for (std::size_t row = 0; row < rows.size(); ++row) {
      for (std::size_t slot = 0; slot < seq; ++slot) {
        const slot_state state = state_at((row % rows_with_states) * seq + slot, file, states_name);
        rows[row].append({position_at(row * seq + slot, file, positions_name), 1, 1, state});
      }
    }
    return position_map(shape_[0], shape_[1], shape_[2], std::move(rows));
  }

 private:
  [[nodiscard]] std::int64_t position_at(std::size_t index, std::string_view file, std::string_view name) const {
    const auto position = element<std::int64_t>(positions_, index);
    require<file_error>(is_representable(position), file, formatted("{}[{}]", name, index),
                        "a position within 2^53 of 0", formatted("{}", position));
    return position;
  }

  [[nodiscard]] slot_state state_at(std::size_t index, std::string_view file, std::string_view name) const {
    const auto code = element<std::int32_t>(states_, index);
    if (code == padding_code || code == unrotated_code) {
      return code == padding_code ? slot_state::padding() : slot_state::unrotated();
    }
    require<file_error>(
        code >= 0 && static_cast<std::size_t>(code) < specifications_, file, formatted("{}[{}]", name, index),
        formatted("-2, -1, or the number of one of {} specifications", specifications_), formatted("{}", code));
    return slot_state::rotated(code);
  }

  std::vector<std::int64_t> shape_;
  std::span<const std::byte> positions_;
  std::span<const std::byte> states_;
  std::size_t specifications_;
};

}  // namespace kvtransfer::detail
