#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/model/weights/gguf_file.hpp"

namespace kvtransfer {

/// A GGUF file's weights as a Hugging Face folder would hold them: transformers' names, Q and K in half-split pairing,
/// Gemma's norms without the 1 that the file adds.
class gguf_weights {
 public:
  /// @throws file_error as `gguf_config` does, and for a tensor that such a model does not have
  explicit gguf_weights(gguf_file file);

  /// The file that they lie in.
  [[nodiscard]] const gguf_file& file() const { return file_; }
  /// Whether there is a weight of that name.
  [[nodiscard]] bool contains(std::string_view name) const { return sources_.contains(name); }

  /// The type that most of the layers' matrices are stored in, "Q4_1"; "none" where that is a floating one.
  [[nodiscard]] std::string quantization() const;

  /// All weights' names, sorted.
  [[nodiscard]] std::vector<std::string> names() const;

  /// The name that a weight has in the file. @throws file_error if there is none of that name
  [[nodiscard]] const std::string& name_in_file(std::string_view name) const { return source_of(name).tensor; }

  /// @throws file_error if there is none of that name
  [[nodiscard]] const std::vector<std::int64_t>& shape(std::string_view name) const {
    return file_.tensor(source_of(name).tensor).shape;
  }

  /// A weight in the type and place asked for. Beside it, a block of its rows as floats is held for a while, no more.
  /// @param dtype float32, float16 or bfloat16
  /// @throws file_error if there is none of that name, or its type cannot be read; value_error for another dtype
  [[nodiscard]] at::Tensor load(std::string_view name, at::ScalarType dtype, at::Device device = at::kCPU) const;

  /// The same, into memory that is there.
  /// @param weight contiguous, of the weight's shape, float32, float16 or bfloat16 @throws shape_error, and as `load`
  void load_into(std::string_view name, const at::Tensor& weight) const;

 private:
  struct source {
    std::string tensor;
    std::int64_t permuted_heads = 0;  ///< heads whose rows lie in interleaved pairs; 0: the rows lie as they should
    bool has_one_added = false;
  };

  [[nodiscard]] const source& source_of(std::string_view name) const;

  gguf_file file_;
  std::map<std::string, source, std::less<>> sources_;
};

}  // namespace kvtransfer
