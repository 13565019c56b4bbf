#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/weights.hpp"

namespace kvtransfer {

/// Which tensors a model's weights are, how often each had been written to, and its configuration. Holds no numbers.
class model_snapshot {
 public:
  model_snapshot(const model_config& config, const model_weights& weights);

  /// What `model` no longer has as it was; empty where it has all.
  [[nodiscard]] std::string change_in(const causal_lm& model) const;

 private:
  /// A tensor at one moment. The weak pointer keeps its address from being given to another.
  struct weight {
    c10::weak_intrusive_ptr<at::TensorImpl> tensor;
    std::uint32_t version = 0;
  };

  model_config config_;
  std::vector<weight> weights_;  // in the order of `for_each_parameter`
};

namespace detail {

/// Takes note of what `model` is now, whose identity is known to be right.
void take_snapshot(causal_lm& model);

/// The origin of what `model` writes: nobody's where it was changed since its identity was taken.
[[nodiscard]] cache_origin origin_of(const causal_lm& model);

/// @throws file_error where a file that weights are mapped from was written to since: pages that were not yet read
/// would show the new numbers
void require_weights_on_disk_unchanged(const causal_lm& model);

}  // namespace detail

}  // namespace kvtransfer
