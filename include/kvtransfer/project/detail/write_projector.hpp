#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>

#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/project/concepts.hpp"
#include "kvtransfer/project/head_shape.hpp"
#include "kvtransfer/project/projector_models.hpp"
#include "kvtransfer/project/projectors/fuser.hpp"
#include "kvtransfer/project/projectors/identity.hpp"
#include "kvtransfer/project/projectors/linear.hpp"
#include "kvtransfer/tensor/safetensors_writer.hpp"

namespace kvtransfer::detail {

inline constexpr std::string_view projector_format = "kvtransfer projector";
inline constexpr std::int64_t projector_format_version = 1;

[[nodiscard]] inline nlohmann::ordered_json json_of(const head_shape& shape) {
  return {{"kv_heads", shape.kv_heads}, {"head_dim", shape.head_dim}};
}

/// What a file of one kind says beside what all say.
[[nodiscard]] inline nlohmann::ordered_json fields_of(const projectors::identity& projector) {
  return {{"layers", projector.layers()}};
}

[[nodiscard]] inline nlohmann::ordered_json fields_of(const projectors::linear& projector) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const linear_layer& layer : projector.maps()) {
    layers.push_back(
        {{"source_layers", layer.source_layers}, {"source_slots", layer.source_slots}, {"by_head", layer.by_head}});
  }
  return {{"source", json_of(projector.source())}, {"receiver", json_of(projector.receiver())}, {"layers", layers}};
}

[[nodiscard]] inline nlohmann::ordered_json fields_of(const projectors::fuser& projector) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const fuser_layer& layer : projector.weights()) {
    layers.push_back({{"source_layers", layer.source_layers}});
  }
  const fuser_shape& shape = projector.shape();
  const fuser_schedule& schedule = projector.schedule();
  return {{"source", json_of(shape.source)},
          {"receiver", json_of(shape.receiver)},
          {"hidden_size", shape.hidden_size},
          {"intermediate_size", shape.intermediate_size},
          {"value_blocks", shape.value_blocks},
          {"source_slots", shape.source_slots},
          {"initial_temperature", schedule.initial_temperature},
          {"final_temperature", schedule.final_temperature},
          {"anneal_steps", schedule.anneal_steps},
          {"dropout", schedule.dropout},
          {"layers", layers}};
}

template <Projector P>
[[nodiscard]] std::map<std::string, at::Tensor> tensors_of(const P& projector) {
  std::map<std::string, at::Tensor> tensors;
  if constexpr (requires { projector.for_each_tensor([](const std::string&, const at::Tensor&) {}); }) {
    projector.for_each_tensor([&](const std::string& name, const at::Tensor& tensor) { tensors[name] = tensor; });
  }
  return tensors;
}

/// @param fields see `fields_of`
template <Projector P>
void write_projector(const std::filesystem::path& folder, const P& projector, const projector_models& models,
                     const nlohmann::ordered_json& fields) {
  std::error_code refused;
  std::filesystem::create_directories(folder, refused);
  require<file_error>(!refused, folder.string(), "folder", "one that can be made", [&] { return refused.message(); });
  nlohmann::ordered_json document{{"format", projector_format},
                                  {"version", projector_format_version},
                                  {"kind", P::name},
                                  {"keys", to_string(projector.rotation())},
                                  {"digest", projector.digest()},
                                  {"source_model", models.source},
                                  {"receiver_model", models.receiver},
                                  {"receiver_reads", to_string(models.reading)},
                                  {"tokens", to_string(models.tokens)}};
  document.update(fields);
  write_safetensors(folder / "projector.safetensors", tensors_of(projector));
  write_text(folder / "projector.json", document.dump(2) + "\n");
}

}  // namespace kvtransfer::detail
