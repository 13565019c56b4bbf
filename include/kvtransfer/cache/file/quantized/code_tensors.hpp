#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kvtransfer/cache/file/quantized/quantized_json.hpp"
#include "kvtransfer/tensor/quantized/code_format.hpp"
#include "kvtransfer/tensor/quantized/quantization.hpp"
#include "kvtransfer/tensor/safetensors_dtype.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer {

/// The tensors that a file keeps one layer's keys (or values) in, by name.
struct code_tensors {
  std::string codes;
  std::string scales;
  std::string minimums;       ///< empty for float formats
  std::string carried_error;  ///< empty unless codes were moved

  /// @param plain `layers.N.key` or `layers.N.value`
  code_tensors(const std::string& plain, const code_record& record)
      : codes(plain + ".codes"),
        scales(plain + ".scales"),
        minimums(is_integer(record.scheme.format) ? plain + ".minimums" : ""),
        carried_error(record.moved ? plain + ".carried_error" : "") {}

  /// Scales, and what else there is in their shape.
  std::vector<std::string> of_groups() const {
    std::vector<std::string> names{scales};
    for (const std::string& name : {minimums, carried_error}) {
      if (!name.empty()) {
        names.push_back(name);
      }
    }
    return names;
  }

  std::vector<std::string> all() const {
    std::vector<std::string> names = of_groups();
    names.insert(names.begin(), codes);
    return names;
  }
};

/// What codes of a format are in a file.
constexpr safetensors_dtype safetensors_dtype_of(code_format format) {
  return *safetensors_dtype_of(scalar_type_of(format));
}

/// `[batch, kv_heads, rows, columns]` of the scales of codes for `[batch, kv_heads, seq, head_dim]`.
inline std::vector<std::int64_t> shape_of_scales(const code_record& record, std::int64_t batch, std::int64_t kv_heads,
                                                 std::int64_t seq, std::int64_t head_dim) {
  return record.scheme.is_per_channel()
             ? std::vector<std::int64_t>{batch, kv_heads, record.groups.count(), head_dim}
             : std::vector<std::int64_t>{batch, kv_heads, seq, head_dim / record.scheme.group_size};
}

}  // namespace kvtransfer
