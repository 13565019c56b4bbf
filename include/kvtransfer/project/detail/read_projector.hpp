#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/project/detail/write_projector.hpp"
#include "kvtransfer/project/projector_models.hpp"
#include "kvtransfer/tensor/safetensors.hpp"

namespace kvtransfer::detail {

/// The two files of a projector, as far as all kinds have them in common.
class projector_folder {
 public:
  /// @throws file_error where a file is missing or malformed, or of another format
  explicit projector_folder(const std::filesystem::path& folder, at::Device device)
      : device_(device),
        json_path_((folder / "projector.json").string()),
        document_(read_json_object(json_path_)),
        tensors_(safetensors_file::open(folder / "projector.safetensors")) {
    if (fields().text("format") != projector_format) {
      fields().member("format").refuse(projector_format);
    }
    static_cast<void>(fields().member("version").integer(projector_format_version, projector_format_version));
  }

  [[nodiscard]] json_reader fields() const { return {document_, json_path_}; }
  [[nodiscard]] const std::string& json_path() const { return json_path_; }
  [[nodiscard]] std::string kind() const { return fields().text("kind"); }
  [[nodiscard]] projector_models models() const {
    const auto reading = receiver_reading_named(fields().text("receiver_reads"));
    if (!reading) {
      fields().member("receiver_reads").refuse("filler or text");
    }
    const auto tokens = token_pairing_named(fields().text("tokens"));
    if (!tokens) {
      fields().member("tokens").refuse("first, longest or text");
    }
    return {fields().text("source_model"), fields().text("receiver_model"), *reading, *tokens};
  }

  void require_kind(std::string_view kind) const {
    if (this->kind() != kind) {
      fields().member("kind").refuse(fmt::format("{} (or another kind that is known)", kind));
    }
  }

  /// @throws file_error unless the document has just these fields beside those of every kind
  void require_fields(std::vector<std::string_view> own) const {
    for (const std::string_view common : {"format", "version", "kind", "keys", "digest", "source_model",
                                          "receiver_model", "receiver_reads", "tokens"}) {
      own.push_back(common);
    }
    for (const std::string& key : fields().keys()) {
      if (std::ranges::find(own, key) == own.end()) {
        fail<file_error>(json_path_, excerpt(key), fmt::format("one of the fields {}", fmt::join(own, ", ")),
                         "an unknown field");
      }
    }
    for (const std::string_view key : own) {
      static_cast<void>(fields().member(key));
    }
  }

  [[nodiscard]] key_rotation rotation() const {
    const auto found = key_rotation_named(fields().text("keys"));
    if (!found) {
      fields().member("keys").refuse("rotated or unrotated");
    }
    return *found;
  }

  [[nodiscard]] head_shape shape(std::string_view key) const {
    const json_reader object = fields().object(key);
    object.require_members({"kv_heads", "head_dim"});
    return {object.size_of("kv_heads", {}, largest), object.size_of("head_dim", {}, largest)};
  }

  /// A tensor that has to be there. @throws file_error where it is missing, or of another shape or type than the first
  [[nodiscard]] at::Tensor take(const std::string& name, const std::vector<std::int64_t>& sizes) {
    const std::string path = tensors_.path().string();
    if (!tensors_.contains(name)) {
      fail<file_error>(path, name, fmt::format("a tensor [{}]", fmt::join(sizes, ", ")), "none of that name");
    }
    const at::Tensor tensor = tensors_.tensor(name);
    if (taken_.empty()) {
      dtype_ = tensor.scalar_type();
    }
    if (tensor.sizes() != at::IntArrayRef(sizes)) {
      fail<file_error>(path, name, fmt::format("[{}]", fmt::join(sizes, ", ")),
                       fmt::format("[{}]", fmt::join(tensor.sizes(), ", ")));
    }
    if (!c10::isFloatingType(tensor.scalar_type()) || tensor.scalar_type() != dtype_) {
      fail<file_error>(path, name, "floating numbers, of one type in all tensors", c10::toString(tensor.scalar_type()));
    }
    taken_.insert(name);
    return tensor.to(device_);
  }

  /// @throws file_error where the file holds a tensor that nobody has taken
  void require_all_taken() const {
    for (const std::string& name : tensors_.names()) {
      require<file_error>(
          taken_.contains(name), tensors_.path().string(), [&] { return excerpt(name); }, "no tensor of this name",
          "one");
    }
  }

  static constexpr std::int64_t largest = 1 << 20;  ///< any size in a file, so that no product overflows
  static constexpr std::int64_t most_slots = 1024;  ///< that are read of one layer for one token
  static constexpr std::size_t most_layers = 4096;  ///< likewise, that a layer is made of

 private:
  at::Device device_;
  std::string json_path_;
  nlohmann::json document_;
  safetensors_file tensors_;
  std::set<std::string, std::less<>> taken_;
  at::ScalarType dtype_ = at::kFloat;
};

/// The layers of the source that an entry of `layers` names.
[[nodiscard]] inline std::vector<std::int64_t> read_source_layers(const json_reader& layer) {
  const std::vector<std::int64_t> layers = layer.integers("source_layers");
  if (layers.size() > projector_folder::most_layers) {
    layer.member("source_layers").refuse(fmt::format("at most {} layers", projector_folder::most_layers));
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    static_cast<void>(layer.member("source_layers").item(i).integer(0, projector_folder::largest));
  }
  return layers;
}

[[nodiscard]] inline projectors::identity read_identity(const projector_folder& files) {
  files.require_fields({"layers"});
  files.require_all_taken();
  return projectors::identity(files.fields().size_of("layers", {}, projector_folder::largest), files.rotation());
}

[[nodiscard]] inline projectors::linear read_linear(projector_folder files) {
  files.require_fields({"source", "receiver", "layers"});
  const head_shape source = files.shape("source");
  const head_shape receiver = files.shape("receiver");
  std::vector<linear_layer> layers;
  for (const json_reader& described : files.fields().objects("layers")) {
    described.require_members({"source_layers", "source_slots", "by_head"});
    const std::string name = fmt::format("layers.{}.", layers.size());
    linear_layer& layer = layers.emplace_back();
    layer.source_layers = read_source_layers(described);
    layer.source_slots = described.size_of("source_slots", {}, projector_folder::most_slots);
    layer.by_head = described.boolean("by_head");
    if (layer.source_layers.empty()) {
      continue;
    }
    const std::int64_t groups = layer.by_head ? receiver.kv_heads : 1;
    const std::int64_t in = layer.slots_read() * (layer.by_head ? source.head_dim : source.features());
    const std::int64_t out = layer.by_head ? receiver.head_dim : receiver.features();
    layer.keys = {files.take(name + "keys.weight", {groups, in, out}), files.take(name + "keys.bias", {groups, out})};
    layer.values = {files.take(name + "values.weight", {groups, in, out}),
                    files.take(name + "values.bias", {groups, out})};
  }
  files.require_all_taken();
  return {files.rotation(), source, receiver, std::move(layers)};
}

[[nodiscard]] inline projectors::fuser read_fuser(projector_folder files) {
  files.require_fields({"source", "receiver", "hidden_size", "intermediate_size", "value_blocks", "source_slots",
                        "initial_temperature", "final_temperature", "anneal_steps", "dropout", "layers"});
  constexpr std::int64_t most_blocks = 1024;
  const json_reader fields = files.fields();
  fuser_shape shape;
  shape.source = files.shape("source");
  shape.receiver = files.shape("receiver");
  shape.hidden_size = fields.size_of("hidden_size", {}, projector_folder::largest);
  shape.intermediate_size = fields.size_of("intermediate_size", {}, projector_folder::largest);
  shape.value_blocks = fields.size_of("value_blocks", {}, most_blocks);
  shape.source_slots = fields.size_of("source_slots", {}, projector_folder::most_slots);
  fuser_schedule schedule;
  schedule.initial_temperature = fields.member("initial_temperature").positive_number();
  schedule.final_temperature = fields.member("final_temperature").positive_number();
  schedule.anneal_steps = fields.size_of("anneal_steps");
  schedule.dropout = fields.member("dropout").finite_number();
  if (schedule.dropout < 0 || schedule.dropout >= 1) {
    fields.member("dropout").refuse("a number from 0 to below 1");
  }
  std::vector<fuser_layer> layers;
  for (const json_reader& described : fields.objects("layers")) {
    described.require_members({"source_layers"});
    fuser_layer& layer = layers.emplace_back();
    layer.source_layers = read_source_layers(described);
    if (!layer.source_layers.empty()) {
      layer.keys.value_blocks.resize(static_cast<std::size_t>(shape.value_blocks));
      layer.values.value_blocks.resize(static_cast<std::size_t>(shape.value_blocks));
    }
  }
  for_each_fuser_tensor(layers, shape, [&](const std::string& name, at::Tensor& tensor, const auto& sizes) {
    tensor = files.take(name, sizes);
  });
  files.require_all_taken();
  return {files.rotation(), shape, schedule, std::move(layers)};
}

/// `projector`, if it is the one that the JSON file tells of. @throws file_error
template <Projector P>
[[nodiscard]] P checked_digest(const projector_folder& files, P projector) {
  if (files.fields().text("digest") != projector.digest()) {
    files.fields().member("digest").refuse(fmt::format("{}, the digest of the tensors beside it", projector.digest()));
  }
  return projector;
}

}  // namespace kvtransfer::detail
