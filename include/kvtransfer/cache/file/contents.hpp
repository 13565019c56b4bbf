#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/checksums.hpp"
#include "kvtransfer/cache/file/format.hpp"
#include "kvtransfer/cache/file/frame_json.hpp"
#include "kvtransfer/cache/file/named_tensors.hpp"
#include "kvtransfer/cache/file/slot_tensors.hpp"
#include "kvtransfer/cache/file/specification_json.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer {

/// All that a cache file says but the keys and values themselves. No torch: a hostile file is refused before a tensor
/// exists.
struct cache_contents {
  safetensors_header header;
  cache_frame frame;
  std::optional<checksum_list> checksums;
};

namespace cache_file_details {

/// The entry of the metadata that makes a safetensors file a cache file.
inline const std::string& frame_text(const safetensors_header& header, std::string_view file) {
  const auto found = header.metadata.find(cache_format::frame_entry);
  if (found == header.metadata.end()) {
    fail<file_error>(file, "metadata", fmt::format("an entry {}, as a cache file has it", cache_format::frame_entry),
                     fmt::format("a safetensors file of {} tensors without one", header.tensors.size()));
  }
  return found->second;
}

/// The file's checksums, that of the frame's text verified; nothing where it has none.
inline std::optional<checksum_list> read_checksums(const safetensors_header& header, std::string_view file) {
  const auto found = header.metadata.find(cache_format::checksum_entry);
  if (found == header.metadata.end()) {
    return std::nullopt;
  }
  checksum_list checksums = parse_checksums(found->second, file);
  const std::string& text = frame_text(header, file);
  require_checksum(checksums, cache_format::frame_entry, std::as_bytes(std::span(text)), file);
  return checksums;
}

/// Frame `index`, its rows taken off `rows_left`.
inline layer_frame read_frame(named_tensors& tensors, std::size_t index,
                              const std::vector<rotary_specification>& regimes, std::int64_t& rows_left) {
  constexpr std::int64_t most_streams = 256;  // as many as `rotary_specification::stream_of` can name
  const std::string positions = cache_format::positions(index);
  const std::string states = cache_format::states(index);
  const std::vector<std::int64_t>& shape = tensors.expect(positions, 4, safetensors_dtype::i64).shape;
  if (shape[0] < 1 || shape[0] > most_streams || shape[1] < 1 || shape[2] < 1) {
    tensors.refuse_shape(positions, fmt::format("1 to {} streams, 1 or more rows and heads", most_streams));
  }
  const std::int64_t rows = shape[0] * shape[1] * shape[2];  // no overflow: the header is sound
  if (rows > rows_left) {
    tensors.refuse_shape(positions, fmt::format("at most {} rows of positions in the file", cache_format::most_rows));
  }
  rows_left -= rows;
  tensors.expect(states, 3, safetensors_dtype::i32);
  tensors.require_shape(states, {shape[1], shape[2], shape[3]});
  const slot_reader slots(shape, tensors.bytes(positions), tensors.bytes(states), regimes.size());
  return {slots.read(tensors.file(), positions, states), regimes};
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
  tensors.require_shape(key, {positions.batch(), keys[1], positions.size(), keys[3]});
  tensors.require_shape(value, {positions.batch(), keys[1], positions.size(), values[3]});
  if (positions.heads() != 1 && positions.heads() != keys[1]) {
    tensors.refuse_shape(key, fmt::format("kv_heads={}, as its positions have", positions.heads()));
  }
  return keys[3];
}

/// @throws file_error where a rotary specification does not fit the narrowest keys that its frame is for
inline void check_regimes(const std::vector<cache_frame::shared_layer>& frames,
                          const std::vector<std::int64_t>& narrowest, std::string_view file) {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    for (const rotary_specification& regime : frames[i]->regimes) {
      require_fitting<file_error>(regime, frames[i]->positions.streams(), narrowest[i], file,
                                  fmt::format("{}.frames[{}].regimes", cache_format::frame_entry, i));
    }
  }
}

inline std::vector<std::vector<std::int64_t>> read_token_ids(named_tensors& tensors, const cache_frame& frame) {
  const std::string name(cache_format::token_ids);
  if (!tensors.contains(name)) {
    return {};
  }
  tensors.expect(name, 2, safetensors_dtype::i64);
  const position_map slots = frame.layers() == 0 ? position_map() : frame.layer(0).positions;
  tensors.require_shape(name, {slots.batch(), slots.size()});
  const std::span<const std::byte> bytes = tensors.bytes(name);
  std::vector<std::vector<std::int64_t>> rows(static_cast<std::size_t>(slots.batch()));
  std::size_t next = 0;
  for (std::vector<std::int64_t>& row : rows) {
    for (std::int64_t slot = 0; slot < slots.size(); ++slot) {
      row.push_back(element<std::int64_t>(bytes, next++));
    }
  }
  return rows;
}

}  // namespace cache_file_details

/// Reads everything in a cache file but keys and values, and checks their shapes against it without touching them.
/// @param bytes the whole file
/// @param file named in errors
/// @throws file_error naming the field, what was expected and what was found
inline cache_contents read_cache_contents(std::span<const std::byte> bytes, std::string_view file) {
  namespace details = cache_file_details;
  cache_contents contents{parse_safetensors_header(bytes, file), {}, {}};
  const std::string& text = details::frame_text(contents.header, file);
  contents.checksums = details::read_checksums(contents.header, file);
  const frame_record record = parse_frame(text, file);

  named_tensors tensors(bytes, file, contents.header, contents.checksums);
  std::vector<cache_frame::shared_layer> frames;
  std::int64_t rows_left = cache_format::most_rows;
  for (std::size_t i = 0; i < record.frames.size(); ++i) {
    frames.push_back(std::make_shared<const layer_frame>(details::read_frame(tensors, i, record.frames[i], rows_left)));
  }
  std::vector<cache_frame::shared_layer> layers;
  std::vector<std::int64_t> narrowest(frames.size(), std::numeric_limits<std::int64_t>::max());
  for (std::size_t i = 0; i < record.layers.size(); ++i) {
    const std::size_t frame = record.layers[i];
    layers.push_back(frames[frame]);
    narrowest[frame] = std::min(narrowest[frame], details::check_layer(tensors, i, layers.back()->positions));
  }
  details::check_regimes(frames, narrowest, file);

  contents.frame = cache_frame(std::move(layers));
  contents.frame.set_model(record.model);
  contents.frame.set_token_ids(details::read_token_ids(tensors, contents.frame));
  if (record.assumed) {
    contents.frame.set_assumed();
  }
  tensors.refuse_strays();
  return contents;
}

}  // namespace kvtransfer
