#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// Asks for a cache whoever wrote it.
struct any_model_t {
  explicit any_model_t() = default;
};
/// The value to ask with: `file.load(any_model)`.
inline constexpr any_model_t any_model{};

/// Whose caches a caller takes: those of the model with one fingerprint, or anybody's.
class expected_model {
 public:
  /// @param fingerprint as `model_fingerprint` gives it; a cache of unknown origin is not of this model
  expected_model(std::string fingerprint) : fingerprint_(std::move(fingerprint)) {}
  /// Likewise.
  expected_model(const char* fingerprint) : fingerprint_(fingerprint) {}
  /// Takes a cache of any model, or of none that is known.
  expected_model(any_model_t) : any_(true) {}

  /// @param file named in the error
  /// @throws frame_error where another model wrote the cache, or nobody knows who did
  void require(const cache_frame& frame, std::string_view file) const {
    if (!any_ && (frame.model().empty() || frame.model() != fingerprint_)) {
      fail<frame_error>(file, "model", fingerprint_ + " (or ask for any_model)",
                        frame.model().empty() ? "an unknown model" : frame.model());
    }
  }

 private:
  std::string fingerprint_;
  bool any_ = false;
};

}  // namespace kvtransfer
