#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvtransfer/core/alike.hpp"
#include "kvtransfer/rope/angles.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::detail {

/// The cosines and sines of one forward pass; layers of equal specification share a table.
class rotary_tables {
 public:
  /// @param specifications one per layer
  /// @param positions int64 `[streams, batch or 1, 1, seq]` of the tokens that are read, on the model's device
  rotary_tables(const std::vector<rotary_specification>& specifications, const at::Tensor& positions,
                at::ScalarType dtype)
      : tables_(make_for_alike(
            specifications.size(), [&](std::size_t a, std::size_t b) { return specifications[a] == specifications[b]; },
            [&](std::size_t i) {
              return specifications[i].rotates() ? rope::cos_sin_table(specifications[i], positions, dtype)
                                                 : rope::cos_sin{};
            })) {}

  [[nodiscard]] const rope::cos_sin& layer(std::int64_t index) const {
    return tables_[static_cast<std::size_t>(index)];
  }

 private:
  std::vector<rope::cos_sin> tables_;  // one a layer
};

}  // namespace kvtransfer::detail
