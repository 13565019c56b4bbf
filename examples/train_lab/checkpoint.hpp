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
#include "settings.hpp"

namespace kvtransfer::train_lab {

/// The settings that two runs must share for one to go on where the other stopped.
inline std::string identity_of(const recipe& plan) {
  return fmt::format("steps {}, warm-up {}, batch {} x {}, peak {}, decay {}, clip {}, seed {}", plan.steps,
                     plan.warm_up, plan.rows(), plan.sequence_length, plan.peak_learning_rate, plan.weight_decay,
                     plan.clip, plan.seed);
}

/// Writes the whole state of a run, fp32, under one name that always holds a complete checkpoint.
/// @param step how many steps are done
inline void save_checkpoint(const std::filesystem::path& file, adamw& optimizer, const recipe& plan,
                            std::int64_t step) {
  std::map<std::string, at::Tensor> state;
  optimizer.for_each_state([&](const std::string& name, const at::Tensor& tensor) { state[name] = tensor.detach(); });
  write_safetensors(file, state, {{"step", std::to_string(step)}, {"recipe", identity_of(plan)}});
}

/// Reads the state of a run back, bit for bit. @return how many steps were done
/// @throws file_error if the checkpoint belongs to another recipe or model
inline std::int64_t load_checkpoint(const std::filesystem::path& file, adamw& optimizer, const recipe& plan) {
  const safetensors_file stored = safetensors_file::open(file);
  const auto& metadata = stored.header().metadata;
  const auto field = [&](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string{} : found->second;
  };
  require<file_error>(field("recipe") == identity_of(plan), file.string(), "recipe", identity_of(plan),
                      field("recipe"));
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
