#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "kvtransfer/cache/model_digest.hpp"
#include "kvtransfer/core/compiled.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE model_digest model_digest::worked_out_by(std::function<std::string()> work) {
  model_digest digest;
  digest.state_ = std::make_shared<state>(std::string(), std::move(work));
  return digest;
}

KVTRANSFER_INLINE const std::string& model_digest::text() const {
  static const std::string none;
  return state_ ? state_->settled() : none;
}

KVTRANSFER_INLINE const std::string& model_digest::state::settled() {
  const std::scoped_lock lock(mutex);
  if (work) {
    text = work();
    work = nullptr;  // with all that it holds
  }
  return text;  // which nobody changes any more
}

}  // namespace kvtransfer
