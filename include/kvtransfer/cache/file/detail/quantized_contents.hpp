#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/detail/cache_contents.hpp"
#include "kvtransfer/cache/file/detail/code_tensors.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/frame_json.hpp"
#include "kvtransfer/cache/file/detail/framed_file.hpp"
#include "kvtransfer/cache/file/detail/quantized_json.hpp"
#include "kvtransfer/core/cache_extents.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/quantized/quantization.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer::detail {

/// All that the file of a quantized cache says but the codes and scales themselves. No tensor exists yet.
struct quantized_contents : cache_contents {
  cache_frame target;
  quantized_record codes;
};

/// @throws file_error unless the scheme is one for heads of `head_dim`, and its groups have `seq` slots
/// @param field of the JSON that says so
inline void check_scheme(std::string_view file, const std::string& field, const code_record& record, std::int64_t seq,
                         std::int64_t head_dim) {
  try {
    validate(record.scheme, head_dim, field);
  } catch (const value_error&) {
    fail<file_error>(file, field, fmt::format("a scheme that fits head_dim={}", head_dim), describe(record.scheme));
  }
  const std::int64_t slots = record.scheme.is_per_channel() ? seq : 0;
  require_count<file_error>(record.groups.size(), slots, file, field + ".groups", "groups of {} slots in all");
}

/// Compares the tensors of one layer's keys (or values) with one another and with the positions that they are to be
/// read with.
/// @param prefix `layers.N.key` or `layers.N.value`
/// @param field of the JSON that is about them
inline cache_extents check_codes(named_tensors& tensors, const std::string& prefix, const std::string& field,
                                 const code_record& record, const position_map& positions) {
  const std::vector<code_tensor> parts = code_tensors(prefix, record);
  const std::string& codes = parts.front().name;
  const std::int64_t codes_a_byte = codes_per_byte(record.scheme.format);
  const safetensors_dtype dtype = safetensors_dtype_of(scalar_type_of(record.scheme.format)).value();
  const std::vector<std::int64_t>& shape = tensors.expect(codes, 4, dtype).shape;
  require_positions_fit(tensors, codes, shape, positions);
  if (shape[3] > std::numeric_limits<std::int64_t>::max() / codes_a_byte) {
    tensors.refuse_shape(codes, "a head_dim that can be counted");
  }
  const cache_extents extents{shape[0], shape[1], shape[2], shape[3] * codes_a_byte};
  check_scheme(tensors.file(), field, record, extents.seq, extents.head_dim);
  for (std::size_t i = 1; i < parts.size(); ++i) {
    tensors.expect(parts[i].name, 4, safetensors_dtype::f32);
    tensors.require_shape(parts[i].name, shape_of_scales(record.scheme, record.groups, extents));
  }
  return extents;
}

/// @throws file_error unless `found` layers are as many as there are
inline void require_layers(std::string_view file, std::string_view field, std::size_t found, std::size_t layers) {
  require<file_error>(found == layers, file, formatted("{}.{}", cache_format::quantized_entry, field),
                      formatted("{} layers, as {} has", layers, cache_format::frame_entry), formatted("{}", found));
}

/// Compares the codes of layer `index` with the positions that its keys stand at in one frame or the other.
/// @return head_dim of the keys
inline std::int64_t check_code_layer(named_tensors& tensors, std::size_t index, const quantized_record::layer& layer,
                                     const position_map& positions) {
  const std::string field = fmt::format("{}.layers[{}]", cache_format::quantized_entry, index);
  const cache_extents keys = check_codes(tensors, cache_format::key(index), field + ".key", layer.keys, positions);
  const cache_extents values =
      check_codes(tensors, cache_format::value(index), field + ".value", layer.values, positions);
  if (keys.kv_heads != values.kv_heads) {
    tensors.refuse_shape(cache_format::value(index) + ".codes",
                         fmt::format("kv_heads={}, as the keys have", keys.kv_heads));
  }
  return keys.head_dim;
}

/// Compares all codes with their positions, and the stored positions of keys with their target ones.
inline void check_layers(named_tensors& tensors, const frame_record& record, const quantized_record& codes,
                         frame_list& frames) {
  require_layers(tensors.file(), "wanted", codes.wanted.size(), record.layers.size());
  require_layers(tensors.file(), "layers", codes.layers.size(), record.layers.size());
  for (std::size_t i = 0; i < record.layers.size(); ++i) {
    for (const std::size_t frame : {record.layers[i], codes.wanted[i]}) {
      frames.note(frame, check_code_layer(tensors, i, codes.layers[i], frames.positions(frame)));
    }
    if (!frames.positions(record.layers[i]).has_keys_of(frames.positions(codes.wanted[i]))) {
      fail<file_error>(tensors.file(), fmt::format("{}.wanted[{}]", cache_format::quantized_entry, i),
                       "a frame of as many streams, with keys in the slots that hold them",
                       fmt::format("frame {}", codes.wanted[i]));
    }
  }
  frames.require_fitting_specifications(tensors.file());
}

/// Reads everything in the file of a quantized cache but codes and scales, and checks their shapes against it without
/// touching them.
/// @param bytes the whole file
/// @param file named in errors
/// @throws file_error naming the field, what was expected and what was found
inline quantized_contents read_quantized_contents(std::span<const std::byte> bytes, std::string_view file) {
  quantized_contents contents{{parse_safetensors_header(bytes, file), {}, {}}, {}, {}};
  const std::string& frame_entry = frame_text(contents.header, file);
  const std::string& quantized_text =
      metadata_text(contents.header, cache_format::quantized_entry, "the file of a quantized cache", file);
  const frame_record record = parse_frame(frame_entry, file);
  contents.checksums = read_checksums(contents.header, {cache_format::frame_entry, cache_format::quantized_entry},
                                      record.checksums, file);
  contents.codes = parse_quantized(quantized_text, record.frames.size(), file);
  named_tensors tensors(bytes, file, contents.header, contents.checksums);
  frame_list frames(tensors, record);
  check_layers(tensors, record, contents.codes, frames);
  contents.stored = frames.cache_frame_of(record, tensors);
  contents.target = contents.stored.with_layers(frames.shared(contents.codes.wanted));
  tensors.refuse_strays();
  return contents;
}

}  // namespace kvtransfer::detail
