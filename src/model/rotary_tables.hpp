#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvtransfer/rope/angles.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::detail {

/// The cosines and sines of one forward pass; layers of equal specification share a table.
class rotary_tables {
 public:
  /// @param specifications one per layer
  /// @param positions int64 `[streams, batch or 1, 1, seq]` of the tokens that are read, on the model's device
  rotary_tables(const std::vector<rotary_specification>& specifications, const at::Tensor& positions,
                at::ScalarType dtype) {
    for (std::size_t layer = 0; layer < specifications.size(); ++layer) {
      std::size_t same = 0;
      while (same < layer && !(specifications[same] == specifications[layer])) {
        ++same;
      }
      table_of_.push_back(same < layer ? table_of_[same] : tables_.size());
      if (same == layer) {
        tables_.push_back(specifications[layer].rotates() ? rope::cos_sin_table(specifications[layer], positions, dtype)
                                                          : rope::cos_sin{});
      }
    }
  }

  [[nodiscard]] const rope::cos_sin& layer(std::int64_t index) const {
    return tables_[table_of_[static_cast<std::size_t>(index)]];
  }

 private:
  std::vector<std::size_t> table_of_;
  std::vector<rope::cos_sin> tables_;
};

}  // namespace kvtransfer::detail
