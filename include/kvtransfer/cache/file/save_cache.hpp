#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/file/cache_file_writer.hpp"

namespace kvtransfer {

/// Writes a cache in any layout to a file, whole or not at all; an older file of the name is replaced. Layers on a GPU
/// come over one at a time.
/// @throws what `cache_file_writer` throws
template <LayerLayout Layout>
void save_cache(const std::filesystem::path& path, const cache_view<Layout>& view,
                file_checksums checksums = file_checksums::crc32) {
  std::vector<cached_layer> layers;
  for (std::int64_t i = 0; i < view.layers(); ++i) {
    const layer_view<Layout>& layer = view.layer(i);
    const cache_extents extents = layer.extents();
    layers.push_back({extents.kv_heads, extents.head_dim, layer.dtype(), layer.value_storage().extents().head_dim,
                      layer.stored_values().scalar_type()});
  }
  cache_file_writer writer(path, view.frame(), layers, as_written, checksums);
  for (std::int64_t i = 0; i < view.layers(); ++i) {
    writer.write(i, view.layer(i).keys(), view.layer(i).values());
  }
  writer.finish();
}

/// The same for a cache. Keys with a move pending are rotated on their way to the file; the cache keeps them as they
/// are.
inline void save_cache(const std::filesystem::path& path, const cache& kv,
                       file_checksums checksums = file_checksums::crc32) {
  save_cache(path, kv.view(), checksums);
}

}  // namespace kvtransfer
