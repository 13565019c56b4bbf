#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/file/detail/cache_contents.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/frame_json.hpp"
#include "kvtransfer/cache/file/detail/framed_file.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer::detail {

/// @throws file_error for the file of a quantized cache
inline void refuse_quantized(const safetensors_header& header, std::string_view file) {
  require<file_error>(!header.metadata.contains(cache_format::quantized_entry), file, "metadata",
                      "a cache of keys and values",
                      formatted("an entry {}: open it as a quantized_cache_file", cache_format::quantized_entry));
}

/// Compares a layer's keys and values with the positions they are to be read with.
/// @return head_dim of the keys
inline std::int64_t check_layer(named_tensors& tensors, std::size_t index, const position_map& positions) {
  const std::string key = cache_format::key(index);
  const std::string value = cache_format::value(index);
  const std::vector<std::int64_t>& keys = tensors.expect(key, 4).shape;
  const std::vector<std::int64_t>& values = tensors.expect(value, 4).shape;
  for (const std::string& tensor : {key, value}) {
    if (const auto dtype = tensors.expect(tensor, 4).dtype; !cache_format::is_floating(dtype)) {
      tensors.refuse(tensor, "a floating dtype", describe(dtype).name);
    }
  }
  require_positions_fit(tensors, key, keys, positions);
  tensors.require_shape(value, {positions.batch(), keys[1], positions.size(), values[3]});
  return keys[3];
}

/// Reads everything in a cache file but keys and values, and checks their shapes against it without touching them.
/// @param bytes the whole file
/// @param file named in errors
/// @throws file_error naming the field, what was expected and what was found
inline cache_contents read_cache_contents(std::span<const std::byte> bytes, std::string_view file) {
  cache_contents contents{parse_safetensors_header(bytes, file), {}, {}};
  const std::string& text = frame_text(contents.header, file);
  refuse_quantized(contents.header, file);
  const frame_record record = parse_frame(text, file);
  contents.checksums = read_checksums(contents.header, {cache_format::frame_entry}, record.checksums, file);
  named_tensors tensors(bytes, file, contents.header, contents.checksums);
  frame_list frames(tensors, record);
  for (std::size_t i = 0; i < record.layers.size(); ++i) {
    const std::size_t frame = record.layers[i];
    frames.note(frame, check_layer(tensors, i, frames.positions(frame)));
  }
  frames.require_fitting_specifications(file);
  contents.stored = frames.cache_frame_of(record, tensors);
  tensors.refuse_strays();
  return contents;
}

}  // namespace kvtransfer::detail
