#pragma once

#include <c10/core/Storage.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/inject/plan.hpp"

namespace kvtransfer::detail {

/// Tells plans of one sequence apart. It keeps nothing that a plan injects: once that is gone, the plan is like no
/// other, whatever lies where it lay.
class plan_identity {
 public:
  explicit plan_identity(const plan& input);

  /// Whether a model reads the same: the same tokens at the same positions, behind the same memory in the same frames.
  [[nodiscard]] bool is_like(const plan_identity& other) const;

 private:
  void add(const at::Tensor& tensor);
  [[nodiscard]] bool is_there() const;

  std::vector<std::int64_t> numbers_;
  std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> memory_;
  std::vector<std::weak_ptr<const layer_frame>> frames_;
};

}  // namespace kvtransfer::detail
