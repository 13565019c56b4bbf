#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/project/concepts.hpp"

namespace kvtransfer::projectors {

/// Every layer's keys and values as they are: what a projector for one and the same model has to equal. Un-rotated, it
/// moves keys to the receiver's positions and specification, as `cache::reframe` does.
class identity {
 public:
  static constexpr std::string_view name = "identity";  ///< as in files and edits

  /// @param layers of source and receiver
  explicit identity(std::int64_t layers, key_rotation rotation = key_rotation::rotated)
      : layers_(layers), rotation_(rotation) {}

  /// What `Projector` asks for.
  /// @{
  [[nodiscard]] projection_effect effect() const { return projection_effect::replaces; }
  [[nodiscard]] key_rotation rotation() const { return rotation_; }
  [[nodiscard]] std::int64_t layers() const { return layers_; }
  [[nodiscard]] std::vector<std::int64_t> source_layers(std::int64_t layer) const { return {layer}; }
  [[nodiscard]] std::string digest() const { return std::string(to_string(rotation_)); }
  /// @throws frame_error for rotated keys that the receiver would have rotated otherwise
  [[nodiscard]] layer_kv project(std::int64_t, const projection_input& input) const {
    require<frame_error>(rotation_ == key_rotation::unrotated || *input.source_frames.front() == *input.receiver_frame,
                         "projectors::identity", "keys",
                         "keys rotated as the receiver's are (or an identity of un-rotated keys)",
                         "other positions, or another rotary specification");
    return input.source.front();
  }
  /// @}

 private:
  std::int64_t layers_;
  key_rotation rotation_;
};

static_assert(Projector<identity>);

}  // namespace kvtransfer::projectors
