#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/file/detail/cache_contents.hpp"
#include "kvtransfer/cache/file/detail/mapped_cache.hpp"
#include "kvtransfer/cache/file/expected_model.hpp"
#include "kvtransfer/cache/layer_view.hpp"

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
class cache_file : public detail::mapped_cache<detail::cache_contents> {
 public:
  /// Maps the file and checks all of it but the keys' and values' own bytes. @throws file_error
  static cache_file open(const std::filesystem::path& path) { return cache_file(path); }

  /// Where the keys stand, and whose cache it is.
  [[nodiscard]] const cache_frame& frame() const { return contents().stored; }

  /// One layer over the mapped bytes, to be looked at: whose cache it is, `frame()` says. Its bytes, and no others,
  /// begin to be fetched. @throws shape_error if there is no such layer
  [[nodiscard]] layer_view<> layer(std::int64_t index) const { return layer(index, 0, frame().layer(index).size()); }

  /// The tokens [begin, end) of a layer, likewise. @throws shape_error if there are no such tokens
  [[nodiscard]] layer_view<> layer(std::int64_t index, std::int64_t begin, std::int64_t end) const;

  /// The whole cache over the mapped bytes, ready to be injected. Nothing is read, so no checksum is verified:
  /// `verify()` does.
  /// @throws frame_error where another model wrote it
  [[nodiscard]] cache_view<> view(const expected_model& model) const;

  /// The cache in memory of its own, its checksums verified where the file has any.
  /// @throws frame_error where another model wrote it, file_error where a checksum differs
  [[nodiscard]] cache load(const expected_model& model, const load_options& options = {}) const;

 private:
  explicit cache_file(const std::filesystem::path& path);

  static at::Tensor copied(const at::Tensor& part, const load_options& options);
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/file/detail/cache_file.ipp"  // IWYU pragma: export
#endif
