#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer {

/// A tensor that a file is going to hold.
struct safetensors_declaration {
  std::string name;                   ///< unique in the file, other than `__metadata__`
  at::ScalarType dtype = at::kFloat;  ///< a type the format has
  std::vector<std::int64_t> shape;    ///< sizes from 0
};

/// Writes a safetensors file tensor by tensor, or piece by piece, so that one larger than memory can be written.
///
/// Names and shapes come first, since the header precedes the data; then `write` in any order; then `commit`, before
/// which nothing stands under the file's name.
class safetensors_writer {
 public:
  /// @throws file_error if the folder takes no new file; value_error for a name twice or a type the format lacks
  safetensors_writer(const std::filesystem::path& path, const std::vector<safetensors_declaration>& tensors,
                     safetensors_metadata metadata = {});

  /// Writes the next elements of a tensor in row-major order; pieces of one tensor come one after the other.
  /// @param piece any shape, the declared dtype, any device
  /// @throws value_error for a name or dtype that was not declared; shape_error for more elements than declared
  void write(std::string_view name, const at::Tensor& piece);

  /// Gives the complete file its name. @throws value_error if a tensor lacks elements; file_error if the disk refuses
  void commit();

 private:
  [[nodiscard]] static safetensors_header placed(const std::vector<safetensors_declaration>& declared);

  atomic_file file_;
  safetensors_header header_;
  std::map<std::string, std::uint64_t, std::less<>> written_;
};

/// Writes tensors that are all in memory. @throws file_error, value_error
void write_safetensors(const std::filesystem::path& path, const std::map<std::string, at::Tensor>& tensors,
                       safetensors_metadata metadata = {});

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/detail/safetensors_writer.ipp"  // IWYU pragma: export
#endif
