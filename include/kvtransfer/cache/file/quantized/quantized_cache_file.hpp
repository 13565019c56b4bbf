#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/layer_pairs.hpp"
#include "kvtransfer/cache/file/detail/code_tensors.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/mapped_cache.hpp"
#include "kvtransfer/cache/file/detail/quantized_contents.hpp"
#include "kvtransfer/cache/file/detail/quantized_json.hpp"
#include "kvtransfer/cache/file/expected_model.hpp"
#include "kvtransfer/cache/quantized/quantized_cache.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer {

/// A quantized cache in a file, mapped: opening reads the frames, codes and scales are read from the disk as they are
/// touched.
///
/// Cheap to copy. Tensors keep the mapping alive, so the object may go before them; writing to one changes this
/// process's copy, never the file.
class quantized_cache_file : public detail::mapped_cache<detail::quantized_contents> {
 public:
  /// Maps the file and checks all of it but the bytes of codes and scales. @throws file_error
  static quantized_cache_file open(const std::filesystem::path& path) { return quantized_cache_file(path); }

  /// Where the keys stand as they are stored.
  [[nodiscard]] const cache_frame& stored() const { return contents().stored; }
  /// Where they are to stand when they are read: the cache may have been saved with moves yet to be made.
  [[nodiscard]] const cache_frame& target() const { return contents().target; }

  /// The codes of one layer over the mapped bytes, in the frame `stored()`: those bytes, and no others, begin to be
  /// fetched. @throws shape_error if there is no such layer
  [[nodiscard]] quantized_tensor stored_keys(std::int64_t layer) const {
    return fetched(detail::cache_format::key(layer), at(layer).keys);
  }
  /// Likewise the values of one layer, which no move touches.
  [[nodiscard]] quantized_tensor values(std::int64_t layer) const {
    return fetched(detail::cache_format::value(layer), at(layer).values);
  }

  /// The cache in memory of its own, moves that are pending included; checksums are verified where the file has any.
  /// @throws frame_error where another model wrote it, file_error where a checksum differs
  [[nodiscard]] quantized_cache load(const expected_model& model, at::Device device = at::kCPU) const {
    const cache_origin origin = model.accepted(stored(), path().string());
    require_unmoved();
    detail::paging::expect_everything(file().bytes());
    auto [keys, values] = detail::keys_and_values_of(layers(), [&](std::int64_t i) {
      verify(i);
      return std::pair(copied(mapped(detail::cache_format::key(i), at(i).keys), device),
                       copied(mapped(detail::cache_format::value(i), at(i).values), device));
    });
    cache_frame read_stored = stored();
    cache_frame read_target = target();
    read_stored.set_origin(origin);
    read_target.set_origin(origin);
    return quantized_cache(std::move(keys), std::move(values), std::move(read_stored), std::move(read_target),
                           as_written);
  }

 private:
  explicit quantized_cache_file(const std::filesystem::path& path)
      : mapped_cache(path, detail::read_quantized_contents) {}

  [[nodiscard]] const detail::quantized_record::layer& at(std::int64_t layer) const {
    require_index<shape_error>(layer, layers(), "quantized_cache_file", "layer");
    return contents().codes.layers[static_cast<std::size_t>(layer)];
  }

  /// @param prefix `layers.N.key` or `layers.N.value`
  [[nodiscard]] quantized_tensor mapped(const std::string& prefix, const detail::code_record& record) const {
    quantized_tensor tensor{record.scheme, {}, {}, {}, {}, record.groups, scalar_type_of(record.dtype)};
    for (const auto& [name, part] : detail::code_tensors(prefix, record)) {
      tensor.*part = file().tensor(name);
    }
    return tensor;
  }

  /// The same, and begins to read it.
  [[nodiscard]] quantized_tensor fetched(const std::string& prefix, const detail::code_record& record) const {
    for (const auto& [name, part] : detail::code_tensors(prefix, record)) {
      fetch_tokens(name, 0, file().entry(name).shape[2]);
    }
    return mapped(prefix, record);
  }

  static quantized_tensor copied(const quantized_tensor& tensor, at::Device device) {
    return tensor.transform([&](const at::Tensor& part) { return device.is_cpu() ? part.clone() : part.to(device); });
  }
};

}  // namespace kvtransfer
