#pragma once

#include <string>
#include <vector>

#include "kvtransfer/cache/file/detail/quantized_json.hpp"
#include "kvtransfer/tensor/quantized/code_format.hpp"
#include "kvtransfer/tensor/quantized/quantization.hpp"
#include "kvtransfer/tensor/safetensors_dtype.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer::detail {

/// The tensors that a file keeps one layer's keys (or values) in, by name.
struct code_tensors {
  std::string codes;
  std::string scales;
  std::string minimums;       ///< empty for float formats
  std::string carried_error;  ///< empty unless codes were moved

  /// @param prefix `layers.N.key` or `layers.N.value`
  code_tensors(const std::string& prefix, const code_record& record)
      : codes(prefix + ".codes"),
        scales(prefix + ".scales"),
        minimums(is_integer(record.scheme.format) ? prefix + ".minimums" : ""),
        carried_error(record.moved ? prefix + ".carried_error" : "") {}

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
constexpr safetensors_dtype dtype_of_codes(code_format format) { return *safetensors_dtype_of(scalar_type_of(format)); }

}  // namespace kvtransfer::detail
