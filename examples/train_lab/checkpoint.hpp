#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "adamw.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "kvtransfer/tensor/safetensors_writer.hpp"

namespace kvtransfer::train_lab {

/// Writes the whole state of a run, fp32, under one name that always holds a complete checkpoint.
/// @param recipe all settings that two runs must share for one to go on where the other stopped, as text
/// @param step how many steps are done
inline void save_checkpoint(const std::filesystem::path& file, adamw& optimizer, const std::string& recipe,
                            std::int64_t step) {
  std::map<std::string, at::Tensor> state;
  optimizer.for_each_state([&](const std::string& name, const at::Tensor& tensor) { state[name] = tensor.detach(); });
  write_safetensors(file, state, {{"step", std::to_string(step)}, {"recipe", recipe}});
}

/// Reads the state of a run back, bit for bit. @return how many steps were done
/// @throws file_error if the checkpoint belongs to another recipe or model
inline std::int64_t load_checkpoint(const std::filesystem::path& file, adamw& optimizer, const std::string& recipe) {
  const safetensors_file stored = safetensors_file::open(file);
  const auto& metadata = stored.header().metadata;
  const auto field = [&](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string{} : found->second;
  };
  require<file_error>(field("recipe") == recipe, file.string(), "recipe", recipe, field("recipe"));
  optimizer.for_each_state([&](const std::string& name, const at::Tensor& tensor) {
    const at::Tensor saved = stored.tensor(name);
    require<file_error>(saved.sizes() == tensor.sizes(), file.string(), name,
                        fmt::format("{}", fmt::join(tensor.sizes(), ", ")),
                        fmt::format("{}", fmt::join(saved.sizes(), ", ")));
    tensor.detach().copy_(saved);
  });
  return std::stoll(field("step"));
}

}  // namespace kvtransfer::train_lab
