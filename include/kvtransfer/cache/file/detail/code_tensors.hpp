#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "kvtransfer/cache/file/detail/quantized_json.hpp"
#include "kvtransfer/tensor/quantized/code_format.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer::detail {

/// One of the tensors that a layer's keys (or values) are: its name in the file, and which it is.
struct code_tensor {
  std::string name;
  at::Tensor quantized_tensor::* part;
};

/// The tensors that a file keeps one layer's keys (or values) in: codes, scales, then what else has the scales' shape.
/// @param prefix `layers.N.key` or `layers.N.value`
inline std::vector<code_tensor> code_tensors(const std::string& prefix, const code_record& record) {
  std::vector<code_tensor> all{{prefix + ".codes", &quantized_tensor::codes},
                               {prefix + ".scales", &quantized_tensor::scales}};
  if (is_integer(record.scheme.format)) {
    all.push_back({prefix + ".minimums", &quantized_tensor::minimums});
  }
  if (record.moved) {
    all.push_back({prefix + ".carried_error", &quantized_tensor::carried_error});
  }
  return all;
}

}  // namespace kvtransfer::detail
