#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/checksums.hpp"
#include "kvtransfer/cache/file/format.hpp"
#include "kvtransfer/cache/file/frame_json.hpp"
#include "kvtransfer/cache/file/framed_file.hpp"
#include "kvtransfer/cache/file/named_tensors.hpp"
#include "kvtransfer/cache/file/quantized/code_tensors.hpp"
#include "kvtransfer/cache/file/quantized/quantized_json.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/quantized/quantization.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer {

/// All that the file of a quantized cache says but the codes and scales themselves. No tensor exists yet.
struct quantized_contents {
  safetensors_header header;
  cache_frame written;
  cache_frame wanted;
  quantized_record codes;
  std::optional<checksum_list> checksums;
};

namespace cache_file_details {

/// @throws file_error unless the scheme is one for heads of `head_dim`, and its groups have `seq` slots
inline void check_scheme(const named_tensors& tensors, const std::string& codes, const code_record& record,
                         std::int64_t seq, std::int64_t head_dim) {
  try {
    validate(record.scheme, head_dim, codes);
  } catch (const value_error& unfit) {
    fail<file_error>(tensors.file(), cache_format::quantized_entry, "schemes that fit their codes", unfit.what());
  }
  const std::int64_t slots = record.scheme.is_per_channel() ? seq : 0;
  if (record.groups.size() != slots) {
    fail<file_error>(tensors.file(), cache_format::quantized_entry,
                     fmt::format("groups of {} slots for {}", slots, codes), fmt::format("{}", record.groups.size()));
  }
}

/// Compares the tensors of one layer's keys (or values) with one another and with the positions that they are to be
/// read with.
/// @param plain `layers.N.key` or `layers.N.value`
/// @return head_dim
inline std::int64_t check_codes(named_tensors& tensors, const std::string& plain, const code_record& record,
                                const position_map& positions) {
  const code_tensors names(plain, record);
  const std::int64_t codes_a_byte = codes_per_byte(record.scheme.format);
  const std::vector<std::int64_t> shape =
      tensors.expect(names.codes, 4, safetensors_dtype_of(record.scheme.format)).shape;
  tensors.require_shape(names.codes, {positions.batch(), shape[1], positions.size(), shape[3]});
  if (positions.heads() != 1 && positions.heads() != shape[1]) {
    tensors.refuse_shape(names.codes, fmt::format("kv_heads={}, as its positions have", positions.heads()));
  }
  if (shape[3] > std::numeric_limits<std::int64_t>::max() / codes_a_byte) {
    tensors.refuse_shape(names.codes, "a head_dim that can be counted");
  }
  const std::int64_t head_dim = shape[3] * codes_a_byte;
  check_scheme(tensors, names.codes, record, shape[2], head_dim);
  for (const std::string& name : names.of_groups()) {
    tensors.expect(name, 4, safetensors_dtype::f32);
    tensors.require_shape(name, shape_of_scales(record, shape[0], shape[1], shape[2], head_dim));
  }
  return head_dim;
}

/// Compares all codes with their positions, in both frames.
inline void check_layers(named_tensors& tensors, const frame_record& record, const quantized_record& codes,
                         frame_list& frames) {
  for (const std::size_t named : {codes.wanted.size(), codes.layers.size()}) {
    if (named != record.layers.size()) {
      fail<file_error>(tensors.file(), cache_format::quantized_entry,
                       fmt::format("{} layers, as {} has", record.layers.size(), cache_format::frame_entry),
                       fmt::format("{}", named));
    }
  }
  for (std::size_t i = 0; i < record.layers.size(); ++i) {
    for (const std::size_t frame : {record.layers[i], codes.wanted[i]}) {
      frames.note(frame, check_codes(tensors, cache_format::key(i), codes.layers[i].keys, frames.positions(frame)));
      check_codes(tensors, cache_format::value(i), codes.layers[i].values, frames.positions(frame));
    }
  }
  frames.require_fitting_regimes(tensors.file());
}

}  // namespace cache_file_details

/// Reads everything in the file of a quantized cache but codes and scales, and checks their shapes against it without
/// touching them.
/// @param bytes the whole file
/// @param file named in errors
/// @throws file_error naming the field, what was expected and what was found
inline quantized_contents read_quantized_contents(std::span<const std::byte> bytes, std::string_view file) {
  namespace details = cache_file_details;
  quantized_contents contents{parse_safetensors_header(bytes, file), {}, {}, {}, {}};
  const std::string& frame_text = details::frame_text(contents.header, file);
  const std::string& quantized_text =
      details::metadata_text(contents.header, cache_format::quantized_entry, "the file of a quantized cache", file);
  contents.checksums =
      details::read_checksums(contents.header, {cache_format::frame_entry, cache_format::quantized_entry}, file);
  const frame_record record = parse_frame(frame_text, file);
  contents.codes = parse_quantized(quantized_text, record.frames.size(), file);
  named_tensors tensors(bytes, file, contents.header, contents.checksums);
  details::frame_list frames(tensors, record);
  details::check_layers(tensors, record, contents.codes, frames);
  contents.written = frames.cache_frame_of(record.layers, record, tensors);
  contents.wanted = frames.cache_frame_of(contents.codes.wanted, record, tensors);
  tensors.refuse_strays();
  return contents;
}

}  // namespace kvtransfer
