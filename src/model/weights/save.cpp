#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/model/weights/nf4_matrix.hpp"
#include "kvtransfer/tensor/safetensors_writer.hpp"
#include "model/weights/load_nf4.hpp"

namespace kvtransfer {

namespace {

/// transformers' name of a type: "float16" for at::kHalf. @throws value_error for a type that no checkpoint uses
std::string checkpoint_dtype(at::ScalarType dtype) {
  switch (dtype) {
    case at::kHalf:
      return "float16";
    case at::kBFloat16:
      return "bfloat16";
    case at::kFloat:
      return "float32";
    case at::kDouble:
      return "float64";
    default:
      fail<value_error>("save_model", "dtype", "float16, bfloat16, float32 or float64", at::toString(dtype));
  }
}

/// What a matrix in 4 bits is brought back by, as bitsandbytes writes it behind the matrix's name: the very bytes, so
/// that the digest of a model that is saved again stays.
std::string state_of(const nf4_matrix& matrix) {
  std::string state = fmt::format(R"({{"quant_type": "nf4", "blocksize": {}, "dtype": "{}", "shape": [{}])",
                                  matrix.block_size, checkpoint_dtype(matrix.dtype), fmt::join(matrix.shape, ", "));
  if (matrix.nested) {
    state += fmt::format(R"(, "nested_blocksize": {}, "nested_dtype": "float32", "nested_offset": {})",
                         matrix.nested->block_size, static_cast<double>(matrix.nested->offset.item<float>()));
  }
  return state + "}";
}

at::Tensor bytes_of_text(const std::string& text) {
  at::Tensor bytes = at::empty({static_cast<std::int64_t>(text.size())}, at::kByte);
  std::memcpy(bytes.mutable_data_ptr(), text.data(), text.size());
  return bytes;
}

/// The layers' matrices in 4 bits, by their codes.
std::unordered_map<const void*, const nf4_matrix*> quantized_matrices(const model_weights& weights) {
  std::unordered_map<const void*, const nf4_matrix*> found;
  for (const layer_weights& layer : weights.layers) {
    for (const weight_matrix* matrix : {&layer.q_proj, &layer.k_proj, &layer.v_proj, &layer.o_proj, &layer.gate_proj,
                                        &layer.up_proj, &layer.down_proj, &layer.qkv_proj, &layer.gate_up_proj}) {
      if (matrix->nf4()) {
        found[matrix->nf4()->codes.const_data_ptr()] = &*matrix->nf4();
      }
    }
  }
  return found;
}

/// The tensors of the folder under the names that transformers and bitsandbytes give them, in the types that they have.
std::vector<std::pair<std::string, at::Tensor>> stored_tensors(const model_weights& weights) {
  const auto quantized = quantized_matrices(weights);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for_each_parameter(weights, [&](const std::string& name, const at::Tensor& tensor) {
    if (name.ends_with(".nested_offset")) {
      return;  // in the state
    }
    tensors.emplace_back(name, tensor);
    if (const auto matrix = quantized.find(tensor.const_data_ptr()); matrix != quantized.end()) {
      tensors.emplace_back(name + ".quant_map", nf4_quant_map());
      tensors.emplace_back(name + std::string(detail::nf4_state_ending), bytes_of_text(state_of(*matrix->second)));
    }
  });
  return tensors;
}

/// Whether a tensor is one of a matrix in 4 bits, and so is stored as it is.
bool is_part_of_codes(std::string_view name, const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kByte || name.find(".weight.") != name.npos;
}

/// What transformers writes of a model that it has loaded in 4 bits. @param matrix any of its matrices
nlohmann::json quantization_config(const nf4_matrix& matrix) {
  return {{"quant_method", "bitsandbytes"},
          {"load_in_4bit", true},
          {"_load_in_4bit", true},
          {"load_in_8bit", false},
          {"_load_in_8bit", false},
          {"bnb_4bit_quant_type", "nf4"},
          {"bnb_4bit_quant_storage", "uint8"},
          {"bnb_4bit_use_double_quant", matrix.nested.has_value()},
          {"bnb_4bit_compute_dtype", checkpoint_dtype(matrix.compute_dtype.value_or(matrix.dtype))}};
}

}  // namespace

void save_model(const std::filesystem::path& folder, const model_config& config, const model_weights& weights,
                at::ScalarType dtype) {
  nlohmann::json content = nlohmann::json::parse(config.raw);
  content[content.contains("dtype") ? "dtype" : "torch_dtype"] = checkpoint_dtype(dtype);
  if (const auto quantized = quantized_matrices(weights); quantized.empty()) {
    content.erase("quantization_config");
  } else if (!content.contains("quantization_config")) {
    content["quantization_config"] = quantization_config(*quantized.begin()->second);
  }

  std::error_code refused;
  std::filesystem::create_directories(folder, refused);
  if (refused) {
    fail<file_error>(folder.string(), "folder", "one that can be made", refused.message());
  }
  const auto tensors = stored_tensors(weights);
  std::vector<safetensors_declaration> declared;
  for (const auto& [name, tensor] : tensors) {
    declared.push_back({name, is_part_of_codes(name, tensor) ? tensor.scalar_type() : dtype, tensor.sizes().vec()});
  }
  safetensors_writer writer(folder / "model.safetensors", declared, {{"format", "pt"}});
  for (const auto& [name, tensor] : tensors) {
    writer.write(name, is_part_of_codes(name, tensor) ? tensor.detach() : tensor.detach().to(dtype));
  }
  writer.commit();
  write_text(folder / "config.json", content.dump(2) + "\n");
}

}  // namespace kvtransfer
