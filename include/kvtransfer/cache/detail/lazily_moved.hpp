#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/moved_frame.hpp"

namespace kvtransfer::detail {

/// The moves of a cache whose keys are rotated when somebody reads them, and not before: `stored` says how they stand
/// in memory, `target` where the caller has asked them to be, and a move changes `target` alone.
/// @tparam Cache what inherits; has a `name` for errors and `kv_heads(layer)`
template <class Cache>
class lazily_moved {
 public:
  std::int64_t layers() const { return target_.layers(); }
  /// Slots in use in `layer`.
  std::int64_t length(std::int64_t layer = 0) const { return target_.layer(layer).size(); }
  const cache_frame& stored() const { return stored_; }
  const cache_frame& target() const { return target_; }
  bool materialized() const { return stored_ == target_; }

  /// Asks for every key `delta` tokens further on.
  void shift(std::int64_t delta) { target_ = shifted(target_, delta); }

  /// Asks for the keys of every layer at `positions`, slot by slot; which slots are padding stays as it is.
  /// @throws shape_error unless slots, rows, streams and heads fit, and every key has a position
  void remap(const position_map& positions) {
    for (std::int64_t layer = 0; layer < layers(); ++layer) {
      require_heads(positions, static_cast<const Cache&>(*this).kv_heads(layer), named("remap"));
    }
    target_ = remapped(target_, positions, named("remap"));
  }

  /// Asks for keys without rotation; their positions stay known. @throws frame_error if a key was never rotated
  void unrotate() { target_ = unrotated(target_, named("unrotate")); }

  /// Asks for never-rotated keys to be rotated to their positions by each layer's `specifications`.
  /// @throws frame_error if a key is rotated already
  void rotate(const std::vector<rotary_specification>& specifications) {
    target_ = rotated(target_, specifications, named("rotate"));
  }

  /// Asks for rotated keys as each layer's `specifications` would have written them at their positions.
  /// @throws frame_error if a key was never rotated
  void reframe(const std::vector<rotary_specification>& specifications) {
    target_ = reframed(target_, specifications, named("reframe"));
  }

 protected:
  lazily_moved(cache_frame stored, cache_frame target) : stored_(std::move(stored)), target_(std::move(target)) {}
  lazily_moved(lazily_moved&&) = default;
  lazily_moved& operator=(lazily_moved&&) = default;
  ~lazily_moved() = default;

  cache_frame stored_;
  cache_frame target_;

 private:
  static std::string named(std::string_view operation) { return fmt::format("{}::{}", Cache::name, operation); }
};

}  // namespace kvtransfer::detail
