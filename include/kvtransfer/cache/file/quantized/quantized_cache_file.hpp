#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/detail/code_tensors.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/mapped_tensors.hpp"
#include "kvtransfer/cache/file/detail/quantized_contents.hpp"
#include "kvtransfer/cache/file/detail/quantized_json.hpp"
#include "kvtransfer/cache/file/expected_model.hpp"
#include "kvtransfer/cache/quantized/quantized_cache.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/mapped_file.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer {

/// A quantized cache in a file, mapped: opening reads the frames, codes and scales are read from the disk as they are
/// touched.
///
/// Cheap to copy. Tensors keep the mapping alive, so the object may go before them; writing to one changes this
/// process's copy, never the file.
class quantized_cache_file {
 public:
  /// Maps the file and checks all of it but the bytes of codes and scales. @throws file_error
  static quantized_cache_file open(const std::filesystem::path& path) {
    auto mapping = mapped_file::open(path);
    detail::quantized_contents contents = detail::read_quantized_contents(mapping->bytes(), path.string());
    return {detail::mapped_tensors(std::move(mapping), std::move(contents.header), std::move(contents.checksums)),
            std::make_shared<const description>(
                description{std::move(contents.stored), std::move(contents.target), std::move(contents.codes.layers)})};
  }

  /// As given to `open`.
  const std::filesystem::path& path() const { return tensors_.path(); }
  /// Where the keys stand as they are stored.
  const cache_frame& stored() const { return description_->stored; }
  /// Where they are to stand when they are read: the cache may have been saved with moves yet to be made.
  const cache_frame& target() const { return description_->target; }
  /// How many layers there are.
  std::int64_t layers() const { return stored().layers(); }
  /// Whether `load` and `verify` can tell a damaged file.
  bool has_checksums() const { return tensors_.has_checksums(); }

  /// The codes of one layer over the mapped bytes, in the frame `stored()`: those bytes, and no others, begin to be
  /// fetched. @throws shape_error if there is no such layer
  quantized_tensor stored_keys(std::int64_t layer) const {
    return fetched(detail::cache_format::key(static_cast<std::size_t>(layer)), at(layer).keys);
  }
  /// Likewise the values of one layer, which no move touches.
  quantized_tensor values(std::int64_t layer) const {
    return fetched(detail::cache_format::value(static_cast<std::size_t>(layer)), at(layer).values);
  }

  /// The cache in memory of its own, moves that are pending included; checksums are verified where the file has any.
  /// @throws frame_error where another model wrote it, file_error where a checksum differs
  quantized_cache load(const expected_model& model, at::Device device = at::kCPU) const {
    model.require(stored(), path().string());
    detail::paging::expect_everything(tensors_.all_bytes());
    std::vector<quantized_tensor> keys;
    std::vector<quantized_tensor> values;
    for (std::int64_t i = 0; i < layers(); ++i) {
      verify(i);
      keys.push_back(copied(mapped(detail::cache_format::key(static_cast<std::size_t>(i)), at(i).keys), device));
      values.push_back(copied(mapped(detail::cache_format::value(static_cast<std::size_t>(i)), at(i).values), device));
    }
    return quantized_cache(std::move(keys), std::move(values), stored(), target());
  }

  /// Compares every layer's bytes with its checksums. @throws file_error where one differs; value_error where the file
  /// has none
  void verify() const {
    tensors_.require_checksums("quantized_cache_file::verify");
    for (std::int64_t i = 0; i < layers(); ++i) {
      verify(i);
    }
  }

 private:
  struct description {
    cache_frame stored;
    cache_frame target;
    std::vector<detail::quantized_record::layer> layers;
  };

  quantized_cache_file(detail::mapped_tensors tensors, std::shared_ptr<const description> its_description)
      : tensors_(std::move(tensors)), description_(std::move(its_description)) {}

  const detail::quantized_record::layer& at(std::int64_t layer) const {
    require_index<shape_error>(layer, layers(), "quantized_cache_file", "layer");
    return description_->layers[static_cast<std::size_t>(layer)];
  }

  /// @param prefix `layers.N.key` or `layers.N.value`
  quantized_tensor mapped(const std::string& prefix, const detail::code_record& record) const {
    const detail::code_tensors names(prefix, record);
    const auto tensor = [&](const std::string& name) { return name.empty() ? at::Tensor() : tensors_.tensor(name); };
    const at::ScalarType dtype = scalar_type_of(record.dtype);
    return {record.scheme,
            tensor(names.codes),
            tensor(names.scales),
            tensor(names.minimums),
            tensor(names.carried_error),
            record.groups,
            dtype};
  }

  /// The same, and begins to read it.
  quantized_tensor fetched(const std::string& prefix, const detail::code_record& record) const {
    for (const std::string& name : detail::code_tensors(prefix, record).all()) {
      tensors_.fetch_tokens(name, 0, tensors_.entry(name).shape[2]);
    }
    return mapped(prefix, record);
  }

  void verify(std::int64_t layer) const {
    const auto index = static_cast<std::size_t>(layer);
    for (const detail::code_tensors& names :
         {detail::code_tensors(detail::cache_format::key(index), at(layer).keys),
          detail::code_tensors(detail::cache_format::value(index), at(layer).values)}) {
      for (const std::string& name : names.all()) {
        tensors_.verify(name);
      }
    }
  }

  static quantized_tensor copied(const quantized_tensor& tensor, at::Device device) {
    return tensor.transform([&](const at::Tensor& part) { return device.is_cpu() ? part.clone() : part.to(device); });
  }

  detail::mapped_tensors tensors_;
  std::shared_ptr<const description> description_;
};

}  // namespace kvtransfer
