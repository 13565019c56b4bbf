#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/detail/checksums.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/frame_json.hpp"
#include "kvtransfer/cache/file/detail/slot_tensors.hpp"
#include "kvtransfer/cache/file/detail/specification_json.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer::detail {

/// The tensors of a file whose header is sound, looked up by those who know which have to be there. Non-owning.
class named_tensors {
 public:
  /// @param bytes the whole file
  /// @param file named in errors
  /// @param checksums of what is read, if the file has any
  named_tensors(std::span<const std::byte> bytes, std::string_view file, const safetensors_header& header,
                const std::optional<checksum_list>& checksums)
      : bytes_(bytes), file_(file), header_(&header), checksums_(&checksums) {}

  [[nodiscard]] std::string_view file() const { return file_; }
  [[nodiscard]] bool contains(std::string_view tensor) const { return header_->tensors.contains(tensor); }

  /// @throws file_error always
  [[noreturn]] void refuse(std::string_view tensor, std::string_view expected, std::string_view got) const {
    fail<file_error>(file_, fmt::format("tensor {}", tensor), expected, got);
  }

  /// @throws file_error always, with the tensor's shape as what was found
  [[noreturn]] void refuse_shape(std::string_view tensor, std::string_view expected) const {
    refuse(tensor, expected, fmt::format("[{}]", fmt::join(header_->tensors.find(tensor)->second.shape, ", ")));
  }

  /// The entry of a tensor. @throws file_error unless it is there, with so many axes
  const safetensors_entry& expect(const std::string& tensor, std::size_t axes) {
    const auto found = header_->tensors.find(tensor);
    if (found == header_->tensors.end()) {
      refuse(tensor, "a tensor of that name", "none");
    }
    if (found->second.shape.size() != axes) {
      refuse_shape(tensor, fmt::format("a shape of {} axes", axes));
    }
    expected_.insert(tensor);
    return found->second;
  }

  /// @throws file_error unless the tensor is there, with so many axes and of that type
  const safetensors_entry& expect(const std::string& tensor, std::size_t axes, safetensors_dtype dtype) {
    const safetensors_entry& entry = expect(tensor, axes);
    if (entry.dtype != dtype) {
      refuse(tensor, describe(dtype).name, describe(entry.dtype).name);
    }
    return entry;
  }

  /// @throws file_error unless an expected tensor has that shape
  void require_shape(const std::string& tensor, const std::vector<std::int64_t>& shape) const {
    if (header_->tensors.find(tensor)->second.shape != shape) {
      refuse_shape(tensor, fmt::format("shape [{}]", fmt::join(shape, ", ")));
    }
  }

  /// The bytes of an expected tensor, to be read at once and so verified at once. @throws file_error for another
  /// checksum
  [[nodiscard]] std::span<const std::byte> bytes(const std::string& tensor) const {
    const safetensors_entry& entry = header_->tensors.find(tensor)->second;
    const auto bytes = bytes_.subspan(header_->data_begin + entry.begin, entry.end - entry.begin);
    if (*checksums_) {
      require_checksum(**checksums_, tensor, bytes, file_);
    }
    return bytes;
  }

  /// @throws file_error where the file has a layer, say, that nobody expected: it would be lost without a word
  void refuse_strays() const {
    for (const auto& [tensor, entry] : header_->tensors) {
      if (cache_format::is_reserved(tensor) && !expected_.contains(tensor)) {
        refuse(excerpt(tensor), "a name that the frame accounts for", "one of another layer or frame");
      }
    }
  }

 private:
  std::span<const std::byte> bytes_;
  std::string_view file_;
  const safetensors_header* header_;
  const std::optional<checksum_list>* checksums_;
  std::set<std::string, std::less<>> expected_;
};

}  // namespace kvtransfer::detail

// What a cache file says of frames, whatever it says of keys and values. No torch: a hostile file is refused before a
// tensor exists.

namespace kvtransfer::detail {

/// A metadata entry. @throws file_error where there is none
/// @param whose as in "a cache file": what has such an entry
inline const std::string& metadata_text(const safetensors_header& header, std::string_view entry,
                                        std::string_view whose, std::string_view file) {
  const auto found = header.metadata.find(entry);
  require<file_error>(found != header.metadata.end(), file, "metadata",
                      formatted("an entry {}, as {} has it", entry, whose),
                      formatted("a safetensors file of {} tensors without one", header.tensors.size()));
  return found->second;
}

/// The entry that makes a safetensors file a cache file.
inline const std::string& frame_text(const safetensors_header& header, std::string_view file) {
  return metadata_text(header, cache_format::frame_entry, "a cache file", file);
}

/// The file's checksums, those of names and of the metadata `entries` verified; nothing where it has none.
/// @param said what the frame says of whether there are any; version 1 does not
inline std::optional<checksum_list> read_checksums(const safetensors_header& header,
                                                   std::initializer_list<std::string_view> entries,
                                                   std::optional<bool> said, std::string_view file) {
  const auto found = header.metadata.find(cache_format::checksum_entry);
  const bool has_any = found != header.metadata.end();
  if (said && *said != has_any) {
    fail<file_error>(file, "metadata",
                     fmt::format("{} {}, as {} says", *said ? "an entry" : "no entry", cache_format::checksum_entry,
                                 cache_format::frame_entry),
                     has_any ? "one" : "none");
  }
  if (!has_any) {
    return std::nullopt;
  }
  auto [names, checksums] = parse_checksums(found->second, file);
  if (said && names != header_checksum(header)) {
    fail<file_error>(file, "checksum of names and metadata", names ? fmt::format("{:08x}", *names) : "one",
                     fmt::format("{:08x}, so they have changed since they were written", header_checksum(header)));
  }
  for (const std::string_view entry : entries) {
    const std::string& text = header.metadata.find(entry)->second;
    require_checksum(checksums, entry, std::as_bytes(std::span(text)), file);
  }
  return checksums;
}

/// Frame `index`, its rows taken off `rows_left`.
inline layer_frame read_frame(named_tensors& tensors, std::size_t index,
                              const std::vector<rotary_specification>& specifications, std::int64_t& rows_left) {
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
  const slot_reader slots(shape, tensors.bytes(positions), tensors.bytes(states), specifications.size());
  return {slots.read(tensors.file(), positions, states), specifications};
}

/// @throws file_error unless a tensor `[batch, kv_heads, seq, ...]` has as many rows, slots and heads as its positions
inline void require_positions_fit(const named_tensors& tensors, const std::string& name,
                                  const std::vector<std::int64_t>& shape, const position_map& positions) {
  tensors.require_shape(name, {positions.batch(), shape[1], positions.size(), shape[3]});
  if (positions.heads() != 1 && positions.heads() != shape[1]) {
    tensors.refuse_shape(name, fmt::format("kv_heads={}, as its positions have", positions.heads()));
  }
}

/// @param name of a tensor that is there
/// @param slots those whose tokens it names
inline layer_tokens::token_rows read_token_rows(named_tensors& tensors, const std::string& name,
                                                const position_map& slots) {
  tensors.expect(name, 2, safetensors_dtype::i64);
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

/// The tokens of every layer, from one tensor for all or one for each. Where layers have different lengths, that for
/// all tells of layer 0, as it was written before layers had their own, and of those in its frame.
/// @throws file_error naming the tensor that is wrong, or one for a layer beside the one for all
inline layer_tokens read_tokens(named_tensors& tensors, const cache_frame& frame) {
  const auto layers = static_cast<std::size_t>(frame.layers());
  const std::string common(cache_format::token_ids);
  std::vector<layer_tokens::shared_rows> rows(layers);
  if (tensors.contains(common)) {
    const position_map slots = layers == 0 ? position_map() : frame.layer(0).positions;
    const auto all = std::make_shared<const layer_tokens::token_rows>(read_token_rows(tensors, common, slots));
    bool even = true;
    for (std::size_t layer = 1; layer < layers; ++layer) {
      even = even && frame.layer(static_cast<std::int64_t>(layer)).size() == slots.size();
    }
    for (std::size_t layer = 0; layer < layers; ++layer) {
      rows[layer] = even || frame.layers_share(0, layer) ? all : nullptr;
    }
    return layer_tokens(std::move(rows));
  }
  for (std::size_t layer = 0; layer < layers; ++layer) {
    if (const std::string own = cache_format::layer_token_ids(layer); tensors.contains(own)) {
      rows[layer] = std::make_shared<const layer_tokens::token_rows>(
          read_token_rows(tensors, own, frame.layer(static_cast<std::int64_t>(layer)).positions));
    }
  }
  return layer_tokens(std::move(rows));
}

/// The frames of a file, and how narrow the keys are that stand in each.
class frame_list {
 public:
  /// @throws file_error naming the tensor that is missing or wrong
  frame_list(named_tensors& tensors, const frame_record& record)
      : narrowest_(record.frames.size(), std::numeric_limits<std::int64_t>::max()) {
    std::int64_t rows_left = cache_format::most_rows;
    for (std::size_t i = 0; i < record.frames.size(); ++i) {
      layer_frame frame = read_frame(tensors, i, record.frames[i], rows_left);
      frame.roundings = record.roundings.empty() ? 0 : record.roundings[i];
      frames_.push_back(std::make_shared<const layer_frame>(std::move(frame)));
    }
  }

  [[nodiscard]] const position_map& positions(std::size_t frame) const { return frames_[frame]->positions; }

  /// Takes note of keys that stand in a frame.
  void note(std::size_t frame, std::int64_t head_dim) { narrowest_[frame] = std::min(narrowest_[frame], head_dim); }

  /// @throws file_error where a rotary specification does not fit all keys that were noted
  void require_fitting_specifications(std::string_view file) const {
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      for (const rotary_specification& specification : frames_[i]->specifications) {
        require_fitting<file_error>(specification, frames_[i]->positions.streams(), narrowest_[i], file,
                                    fmt::format("{}.frames[{}].specifications", cache_format::frame_entry, i));
      }
    }
  }

  /// @param layers which frame each layer is read in
  [[nodiscard]] std::vector<cache_frame::shared_layer> shared(const std::vector<std::size_t>& layers) const {
    std::vector<cache_frame::shared_layer> frames;
    for (const std::size_t layer : layers) {
      frames.push_back(frames_[layer]);
    }
    return frames;
  }

  /// The frame of the whole cache, with the text it came from.
  [[nodiscard]] cache_frame cache_frame_of(const frame_record& record, named_tensors& tensors) const {
    cache_frame frame(shared(record.layers));
    frame.set_origin(record.origin);
    frame.set_tokens(read_tokens(tensors, frame));
    if (record.assumed) {
      frame.set_assumed();
    }
    try {
      frame.set_edits(record.edits);
    } catch (const shape_error& bad) {
      fail<file_error>(tensors.file(), fmt::format("{}.edits", cache_format::frame_entry),
                       "layers and slots that are there", bad.what());
    }
    return frame;
  }

 private:
  std::vector<cache_frame::shared_layer> frames_;
  std::vector<std::int64_t> narrowest_;
};

}  // namespace kvtransfer::detail
