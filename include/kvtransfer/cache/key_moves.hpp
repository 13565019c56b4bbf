#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/moved_frame.hpp"

namespace kvtransfer {

/// The moves that `cache` and `quantized_cache` have. Keys are rotated when somebody reads them, and not before:
/// `stored` says how they stand in memory, `target` where the caller has asked them to be, and a move changes `target`
/// alone. `materialize()` of both rotates them in memory.
/// @tparam Cache what inherits; has a `name` for errors and `kv_heads(layer)`
template <class Cache>
class key_moves {
 public:
  /// Layers that have keys and values.
  [[nodiscard]] std::int64_t layers() const { return target_.layers(); }
  /// Slots in use in `layer`.
  [[nodiscard]] std::int64_t length(std::int64_t layer = 0) const { return target_.layer(layer).size(); }
  /// How the keys stand in memory.
  [[nodiscard]] const cache_frame& stored() const { return stored_; }
  /// Where the caller has asked them to be: what a view shows.
  [[nodiscard]] const cache_frame& target() const { return target_; }
  /// Whether no move is pending.
  [[nodiscard]] bool materialized() const { return stored_ == target_; }

  /// Asks for every key `delta` tokens further on.
  void shift(std::int64_t delta) { target_ = detail::shifted(target_, delta); }

  /// Asks for the keys of every layer at `positions`, slot by slot; which slots are padding stays as it is.
  /// @throws shape_error unless slots, rows, streams and heads fit, and every key has a position
  void remap(const position_map& positions) {
    for (std::int64_t layer = 0; layer < layers(); ++layer) {
      detail::require_heads(positions, static_cast<const Cache&>(*this).kv_heads(layer), named("remap"));
    }
    target_ = detail::remapped(target_, positions, named("remap"));
  }

  /// Asks for the keys of every row and head side by side, in the order of their slots, from position `first` on: what
  /// is left of a text after eviction, read as a text of its own. @throws frame_error for keys of several streams
  void close_gaps(std::int64_t first = 0) { target_ = detail::without_gaps(target_, first, named("close_gaps")); }

  /// Asks for keys without rotation; their positions stay known. @throws frame_error if a key was never rotated
  void unrotate() { target_ = detail::unrotated(target_, named("unrotate")); }

  /// Asks for never-rotated keys to be rotated to their positions by each layer's `specifications`.
  /// @throws frame_error if a key is rotated already
  void rotate(const std::vector<rotary_specification>& specifications) {
    target_ = detail::rotated(target_, specifications, named("rotate"));
  }

  /// Asks for rotated keys as each layer's `specifications` would have written them at their positions.
  /// @throws frame_error if a key was never rotated
  void reframe(const std::vector<rotary_specification>& specifications) {
    target_ = detail::reframed(target_, specifications, named("reframe"));
  }

 protected:
  /// @param stored how the keys stand, @param target where they are asked to be
  key_moves(cache_frame stored, cache_frame target) : stored_(std::move(stored)), target_(std::move(target)) {}
  key_moves(key_moves&&) = default;             ///< A cache is moved as a whole,
  key_moves& operator=(key_moves&&) = default;  ///< and never copied.
  ~key_moves() = default;                       ///< By what inherits alone.

  cache_frame stored_;  ///< How the keys stand in memory.
  cache_frame target_;  ///< Where the caller has asked them to be.

 private:
  static std::string named(std::string_view operation) { return fmt::format("{}::{}", Cache::name, operation); }
};

}  // namespace kvtransfer
