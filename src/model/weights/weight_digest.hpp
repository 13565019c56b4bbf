#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "kvtransfer/model/weights.hpp"
#include "model/weights/digest.hpp"

namespace kvtransfer::detail {

/// The digest of a model's stored tensors: of each, in the order of their names, its name, its type as the file calls
/// it, its shape, and its bytes.
///
/// How tensors are spread over files is no part of it, nor what they are converted to in memory.
class weight_digest {
 public:
  /// Takes in the next tensor. @throws value_error unless its name comes behind the one before
  /// @param dtype `BF16`, `Q4_K`
  /// @param shape outermost dimension first
  void add(std::string_view name, std::string_view dtype, std::span<const std::int64_t> shape,
           std::span<const std::byte> bytes);

  /// 32 hexadecimal digits.
  [[nodiscard]] std::string text() const { return digest_.text(); }

 private:
  digest digest_;
  std::string last_;
};

/// The bytes of a dense tensor on the CPU. Non-owning.
[[nodiscard]] inline std::span<const std::byte> bytes_of(const at::Tensor& dense) {
  return {static_cast<const std::byte*>(dense.const_data_ptr()), dense.nbytes()};
}

/// The digest of weights in memory: that of a file which stores these parameters, in the types that they have here.
[[nodiscard]] std::string digest_of(const model_weights& weights);

}  // namespace kvtransfer::detail
