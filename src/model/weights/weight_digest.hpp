#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/model_digest.hpp"
#include "kvtransfer/core/mapped_file.hpp"
#include "kvtransfer/model/weights.hpp"
#include "model/weights/digest.hpp"

namespace kvtransfer::detail {

/// The digest of a model's stored tensors: of each, in the order of their names, its name, its type as the file calls
/// it, its shape, and its bytes.
///
/// How tensors are spread over files is no part of it, nor what they are converted to in memory.
class weight_digest {
 public:
  /// Takes in what the next tensor is; its bytes come behind.
  /// @throws value_error unless its name comes behind the one before
  /// @param dtype `BF16`, `Q4_K`
  /// @param shape outermost dimension first
  void begin(std::string_view name, std::string_view dtype, std::span<const std::int64_t> shape);
  /// Takes in bytes of the tensor that was begun last, in pieces of any size.
  void add(std::span<const std::byte> bytes) { digest_.add(bytes); }
  /// Takes in the next tensor, whole.
  void add(std::string_view name, std::string_view dtype, std::span<const std::int64_t> shape,
           std::span<const std::byte> bytes) {
    begin(name, dtype, shape);
    add(bytes);
  }

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

/// A tensor of a file that is mapped.
struct stored_tensor {
  std::string name;
  std::string_view dtype;  ///< as `weight_digest` takes it
  std::vector<std::int64_t> shape;
  std::shared_ptr<const mapped_file> file;
  std::span<const std::byte> bytes;  ///< of the mapping, which says where in the file they are
};

/// The digest of what files hold, read when somebody first asks for it: the files as they were mapped, whatever was
/// written to the mappings since. Where one was written to since, whoever asks gets a `file_error`.
/// @param tensors in the order of their names
[[nodiscard]] model_digest digest_when_asked(std::vector<stored_tensor> tensors);

/// The digest of weights in memory: that of a file which stores these parameters, in the types that they have here.
[[nodiscard]] std::string digest_of(const model_weights& weights);

}  // namespace kvtransfer::detail
