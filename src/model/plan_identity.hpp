#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Storage.h>
#include <c10/util/intrusive_ptr.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/inject/plan.hpp"

namespace kvtransfer::detail {

/// Tells plans of one sequence apart. It keeps nothing that a plan injects: once that is gone, or this library has
/// changed it, the plan is like no other, whatever lies where it lay.
class plan_identity {
 public:
  explicit plan_identity(const plan& input);

  /// Whether a model reads the same: the same tokens at the same positions, behind the same memory in the same frames.
  [[nodiscard]] bool is_like(const plan_identity& other) const;

 private:
  void add(const at::Tensor& tensor);
  [[nodiscard]] bool is_there() const;

  std::uint64_t known_ = memory_changes::instance().last();  // the last change of memory, as the plan was looked at
  std::vector<std::int64_t> numbers_;
  std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> memory_;
  std::vector<memory_range> ranges_;  // of that memory
  std::vector<std::weak_ptr<const layer_frame>> frames_;
};

}  // namespace kvtransfer::detail
