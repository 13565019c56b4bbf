#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/file/detail/contents.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/mapped_tensors.hpp"
#include "kvtransfer/cache/file/expected_model.hpp"
#include "kvtransfer/cache/layer_view.hpp"
#include "kvtransfer/core/mapped_file.hpp"

namespace kvtransfer {

/// How a cache is taken into memory.
struct load_options {
  std::int64_t capacity = 0;     ///< slots in all, at least those there are
  at::Device device = at::kCPU;  ///< where the tensors shall lie
};

/// A cache in a file, mapped: opening reads the frame, keys and values are read from the disk as they are touched.
///
/// Cheap to copy. Views keep the mapping alive, so the object may go before them; writing through one changes this
/// process's copy, never the file.
class cache_file {
 public:
  /// Maps the file and checks all of it but the keys' and values' own bytes. @throws file_error
  static cache_file open(const std::filesystem::path& path) {
    auto mapping = mapped_file::open(path);
    detail::cache_contents contents = detail::read_cache_contents(mapping->bytes(), path.string());
    return {detail::mapped_tensors(std::move(mapping), std::move(contents.header), std::move(contents.checksums)),
            std::make_shared<const cache_frame>(std::move(contents.frame))};
  }

  /// As given to `open`.
  const std::filesystem::path& path() const { return tensors_.path(); }
  /// Where the keys stand, and whose cache it is.
  const cache_frame& frame() const { return *frame_; }
  /// How many layers there are.
  std::int64_t layers() const { return frame().layers(); }
  /// Whether `load` and `verify` can tell a damaged file.
  bool has_checksums() const { return tensors_.has_checksums(); }

  /// One layer over the mapped bytes, to be looked at: whose cache it is, `frame()` says. Its bytes, and no others,
  /// begin to be fetched. @throws shape_error if there is no such layer
  layer_view<> layer(std::int64_t index) const { return layer(index, 0, frame().layer(index).size()); }

  /// The tokens [begin, end) of a layer, likewise. @throws shape_error if there are no such tokens
  layer_view<> layer(std::int64_t index, std::int64_t begin, std::int64_t end) const {
    auto part = frame().shared(index);
    if (begin != 0 || end != part->size()) {
      part = std::make_shared<const layer_frame>(part->slice(begin, end));
    }
    for (const std::string& name : names(index)) {
      tensors_.fetch_tokens(name, begin, end);
    }
    const auto [key, value] = names(index);
    return {tensors_.tensor(key).slice(2, begin, end), tensors_.tensor(value).slice(2, begin, end), std::move(part)};
  }

  /// The whole cache over the mapped bytes, ready to be injected. Nothing is read, so no checksum is verified:
  /// `verify()` does.
  /// @throws frame_error where another model wrote it
  cache_view<> view(const expected_model& model) const {
    model.require(frame(), path().string());
    detail::paging::expect_everything(tensors_.all_bytes());
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (std::int64_t i = 0; i < layers(); ++i) {
      const auto [key, value] = names(i);
      keys.push_back(tensors_.tensor(key));
      values.push_back(tensors_.tensor(value));
    }
    return {keys, values, frame()};
  }

  /// The cache in memory of its own, its checksums verified where the file has any.
  /// @throws frame_error where another model wrote it, file_error where a checksum differs
  cache load(const expected_model& model, const load_options& options = {}) const {
    const cache_view<> all = view(model);
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (std::int64_t i = 0; i < layers(); ++i) {
      verify(i);
      keys.push_back(copied(all.layer(i).keys(), options));
      values.push_back(copied(all.layer(i).values(), options));
    }
    return cache(std::move(keys), std::move(values), frame());
  }

  /// Compares every layer's bytes with its checksums. @throws file_error where one differs; value_error where the file
  /// has none
  void verify() const {
    tensors_.require_checksums("cache_file::verify");
    for (std::int64_t i = 0; i < layers(); ++i) {
      verify(i);
    }
  }

 private:
  cache_file(detail::mapped_tensors tensors, std::shared_ptr<const cache_frame> frame)
      : tensors_(std::move(tensors)), frame_(std::move(frame)) {}

  static std::array<std::string, 2> names(std::int64_t layer) {
    const auto index = static_cast<std::size_t>(layer);
    return {detail::cache_format::key(index), detail::cache_format::value(index)};
  }

  void verify(std::int64_t layer) const {
    for (const std::string& name : names(layer)) {
      tensors_.verify(name);
    }
  }

  static at::Tensor copied(const at::Tensor& part, const load_options& options) {
    const std::int64_t capacity = std::max(options.capacity, part.size(2));
    at::Tensor copy = part.new_empty({part.size(0), part.size(1), capacity, part.size(3)}, options.device);
    copy.slice(2, 0, part.size(2)).copy_(part);
    return copy;
  }

  detail::mapped_tensors tensors_;
  std::shared_ptr<const cache_frame> frame_;
};

}  // namespace kvtransfer
