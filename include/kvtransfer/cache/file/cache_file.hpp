#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/file/contents.hpp"
#include "kvtransfer/cache/file/expected_model.hpp"
#include "kvtransfer/cache/file/format.hpp"
#include "kvtransfer/cache/file/paging.hpp"
#include "kvtransfer/cache/layer_view.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/mapped_file.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer {

/// How a cache is taken into memory.
struct load_options {
  std::int64_t capacity = 0;  ///< slots to make room for, at least those there are
  at::Device device = at::kCPU;
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
    auto contents = read_cache_contents(mapping->bytes(), path.string());
    return {std::move(mapping), std::make_shared<const cache_contents>(std::move(contents))};
  }

  const std::filesystem::path& path() const { return mapping_->path(); }
  const cache_frame& frame() const { return contents_->frame; }
  std::int64_t layers() const { return frame().layers(); }
  bool has_checksums() const { return contents_->checksums.has_value(); }

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
      paging::expect_single_pages(bytes(name));
      fetch_tokens(name, begin, end);
    }
    const auto [key, value] = names(index);
    return {tensor(key).slice(2, begin, end), tensor(value).slice(2, begin, end), std::move(part)};
  }

  /// The whole cache over the mapped bytes, ready to be injected. Nothing is read, so no checksum is verified:
  /// `verify()` does.
  /// @throws frame_error where another model wrote it
  cache_view<> view(const expected_model& model) const {
    model.require(frame(), path().string());
    paging::expect_everything(mapping_->bytes());
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (std::int64_t i = 0; i < layers(); ++i) {
      const auto [key, value] = names(i);
      keys.push_back(tensor(key));
      values.push_back(tensor(value));
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
    require<value_error>(has_checksums(), "cache_file::verify", path().string(), "a file with checksums",
                         "one without");
    for (std::int64_t i = 0; i < layers(); ++i) {
      verify(i);
    }
  }

 private:
  cache_file(std::shared_ptr<const mapped_file> mapping, std::shared_ptr<const cache_contents> contents)
      : mapping_(std::move(mapping)), contents_(std::move(contents)) {}

  static std::array<std::string, 2> names(std::int64_t layer) {
    const auto index = static_cast<std::size_t>(layer);
    return {cache_format::key(index), cache_format::value(index)};
  }

  const safetensors_entry& entry(const std::string& name) const { return contents_->header.tensors.find(name)->second; }

  std::span<std::byte> bytes(const std::string& name) const {
    return mapping_->bytes().subspan(contents_->header.data_begin + entry(name).begin,
                                     entry(name).end - entry(name).begin);
  }

  /// A tensor over its mapped bytes; a copy only where a foreign writer put it off its natural alignment.
  at::Tensor tensor(const std::string& name) const {
    const std::span<std::byte> data = bytes(name);
    const auto options = at::TensorOptions().dtype(scalar_type_of(entry(name).dtype));
    if (reinterpret_cast<std::uintptr_t>(data.data()) % describe(entry(name).dtype).bytes != 0) {
      at::Tensor copy = at::empty(entry(name).shape, options);
      std::memcpy(copy.data_ptr(), data.data(), data.size());
      return copy;
    }
    return at::from_blob(
        data.data(), entry(name).shape, [kept = mapping_](void*) {}, options);
  }

  /// Starts to fetch the tokens [begin, end) of every row of a tensor.
  void fetch_tokens(const std::string& name, std::int64_t begin, std::int64_t end) const {
    const std::vector<std::int64_t>& shape = entry(name).shape;
    const std::span<std::byte> all = bytes(name);
    if (end - begin == shape[2]) {
      return paging::fetch(all);
    }
    const std::size_t token = static_cast<std::size_t>(shape[3]) * describe(entry(name).dtype).bytes;
    const std::size_t row = static_cast<std::size_t>(shape[2]) * token;
    for (std::size_t start = 0; start < all.size(); start += row) {
      paging::fetch(
          all.subspan(start + static_cast<std::size_t>(begin) * token, static_cast<std::size_t>(end - begin) * token));
    }
  }

  void verify(std::int64_t layer) const {
    for (const std::string& name : names(layer)) {
      if (has_checksums()) {
        require_checksum(*contents_->checksums, name, bytes(name), path().string());
      }
    }
  }

  static at::Tensor copied(const at::Tensor& part, const load_options& options) {
    const std::int64_t room = std::max(options.capacity, part.size(2));
    at::Tensor copy =
        at::empty({part.size(0), part.size(1), room, part.size(3)}, part.options().device(options.device));
    copy.slice(2, 0, part.size(2)).copy_(part);
    return copy;
  }

  std::shared_ptr<const mapped_file> mapping_;
  std::shared_ptr<const cache_contents> contents_;
};

}  // namespace kvtransfer
