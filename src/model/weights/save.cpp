#include <nlohmann/json.hpp>
#include <system_error>

#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/tensor/safetensors_writer.hpp"

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

}  // namespace

void save_model(const std::filesystem::path& folder, const model_config& config, const model_weights& weights,
                at::ScalarType dtype) {
  require<value_error>(describe_quantization(weights) == "none", "save_model", "weights", "floating matrices",
                       describe_quantization(weights));
  nlohmann::json content = nlohmann::json::parse(config.raw);
  content[content.contains("dtype") ? "dtype" : "torch_dtype"] = checkpoint_dtype(dtype);

  std::error_code refused;
  std::filesystem::create_directories(folder, refused);
  if (refused) {
    fail<file_error>(folder.string(), "folder", "one that can be made", refused.message());
  }
  std::vector<safetensors_declaration> declared;
  for_each_parameter(weights, [&](const std::string& name, const at::Tensor& tensor) {
    declared.push_back({name, dtype, tensor.sizes().vec()});
  });
  safetensors_writer writer(folder / "model.safetensors", declared, {{"format", "pt"}});
  for_each_parameter(weights, [&](const std::string& name, const at::Tensor& tensor) {
    writer.write(name, tensor.detach().to(dtype));
  });
  writer.commit();
  write_text(folder / "config.json", content.dump(2) + "\n");
}

}  // namespace kvtransfer
