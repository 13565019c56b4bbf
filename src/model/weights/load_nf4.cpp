#include "model/weights/load_nf4.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/scalar_tensor.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/tensor/safetensors_dtype.hpp"

namespace kvtransfer::detail {

namespace {

using state_reader = basic_json_reader<file_error>;

/// The tensors of one matrix.
class nf4_parts {
 public:
  nf4_parts(const safetensors_folder& folder, std::string name, at::Device device,
            std::unordered_set<std::string>& used)
      : folder_(&folder), name_(std::move(name)), device_(device), used_(&used) {}

  /// The tensor with this ending, of this type and number of elements. @param elements -1: any
  [[nodiscard]] at::Tensor read(std::string_view ending, safetensors_dtype dtype, std::int64_t elements) const {
    const std::string name = name_ + std::string(ending);
    if (!folder_->contains(name)) {
      fail<file_error>(folder_->path().string(), "tensor", excerpt(name), "no such tensor");
    }
    used_->insert(name);
    const safetensors_file& file = folder_->file_of(name);
    const safetensors_entry& entry = file.entry(name);
    const at::Tensor tensor = entry.dtype == dtype ? file.tensor(name) : at::Tensor();
    if (!tensor.defined() || (elements >= 0 && tensor.numel() != elements)) {
      fail<file_error>(file.path().string(), fmt::format("tensor {}", excerpt(name)),
                       elements < 0 ? std::string(describe(dtype).name)
                                    : fmt::format("{} elements of {}", elements, describe(dtype).name),
                       fmt::format("{} {}", describe(entry.dtype).name, excerpt(entry.shape)));
    }
    return tensor.to(device_);
  }

  [[nodiscard]] std::string file() const { return folder_->path().string(); }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  const safetensors_folder* folder_;
  std::string name_;
  at::Device device_;
  std::unordered_set<std::string>* used_;
};

at::ScalarType dtype_of(const state_reader& state, std::string_view key) {
  const std::string name = state.text(key);
  if (name == "float32") {
    return at::kFloat;
  }
  if (name == "float16") {
    return at::kHalf;
  }
  if (name == "bfloat16") {
    return at::kBFloat16;
  }
  state.refuse(key, "float32, float16 or bfloat16");
}

std::int64_t block_size_of(const state_reader& state, std::string_view key) {
  const std::int64_t size = state.member(key).integer(1, 1 << 20);
  return size;
}

nf4_nested_scales read_nested(const nf4_parts& parts, const state_reader& state, std::int64_t blocks,
                              at::Device device) {
  nf4_nested_scales nested;
  nested.block_size = block_size_of(state, "nested_blocksize");
  nested.absmax =
      parts.read(".nested_absmax", safetensors_dtype::f32, (blocks + nested.block_size - 1) / nested.block_size);
  nested.quant_map = parts.read(".nested_quant_map", safetensors_dtype::f32, 256);
  if (state.text("nested_dtype") != "float32") {
    state.refuse("nested_dtype", "float32");
  }
  nested.offset = at::scalar_tensor(state.member("nested_offset").finite_number(), at::kFloat).to(device);
  return nested;
}

}  // namespace

nf4_matrix load_nf4(const safetensors_folder& folder, const std::string& name, const std::vector<std::int64_t>& shape,
                    at::Device device, std::unordered_set<std::string>& used) {
  const nf4_parts parts(folder, name, device, used);
  const at::Tensor bytes = parts.read(nf4_state_ending, safetensors_dtype::u8, -1).cpu().contiguous();
  const std::string where = fmt::format("{}: {}{}", parts.file(), name, nf4_state_ending);
  const nlohmann::json json =
      parse_json({static_cast<const char*>(bytes.const_data_ptr()), static_cast<std::size_t>(bytes.numel())}, where);
  const state_reader state(json, where);
  if (!json.is_object() || state.text("quant_type") != "nf4") {
    state.refuse_with("an object whose quant_type is nf4", excerpt(json));
  }
  if (state.member("shape").integers() != shape) {
    state.refuse("shape", excerpt(shape));
  }
  nf4_matrix matrix;
  matrix.shape = shape;
  matrix.dtype = dtype_of(state, "dtype");
  matrix.block_size = block_size_of(state, "blocksize");
  const std::int64_t elements = shape[0] * shape[1];
  const std::int64_t blocks = (elements + matrix.block_size - 1) / matrix.block_size;
  matrix.codes = parts.read("", safetensors_dtype::u8, (elements + 1) / 2);
  const at::Tensor values = parts.read(".quant_map", safetensors_dtype::f32, 16).cpu().flatten();
  for (std::int64_t i = 0; i < 16; ++i) {
    const auto expected = nf4_quant_map()[i].item<float>();
    const auto got = values[i].item<float>();
    require<file_error>(got == expected, parts.file(), formatted("tensor {}", excerpt(name + ".quant_map")),
                        formatted("the 16 values of NF4, {} as number {}", expected, i), formatted("{}", got));
  }
  if (json.contains("nested_blocksize")) {
    matrix.absmax = parts.read(".absmax", safetensors_dtype::u8, blocks);
    matrix.nested = read_nested(parts, state, blocks, device);
  } else {
    matrix.absmax = parts.read(".absmax", safetensors_dtype::f32, blocks);
  }
  return matrix;
}

}  // namespace kvtransfer::detail
