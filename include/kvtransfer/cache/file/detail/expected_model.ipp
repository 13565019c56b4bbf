#pragma once

#include <string_view>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/cache/file/expected_model.hpp"
#include "kvtransfer/cache/model_identity.hpp"
#include "kvtransfer/core/compiled.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE cache_origin expected_model::accepted(const cache_frame& frame, std::string_view file) const {
  const cache_origin& origin = frame.origin();
  if (any_ || (origin.is_known() && differences(model_, origin.model()).empty())) {
    return origin;
  }
  if (basis_ == origin_basis::same_weights && origin.is_known()) {
    return assume_same_weights(origin, model_);
  }
  if (basis_ == origin_basis::unknown_origin && !origin.is_known()) {
    return assume_unknown_origin(origin, model_);
  }
  detail::require_origin(origin, model_, file);
  return origin;
}

KVTRANSFER_INLINE expected_model assume_unknown_origin(const model_identity& model) {
  return {model, origin_basis::unknown_origin};
}

}  // namespace kvtransfer
