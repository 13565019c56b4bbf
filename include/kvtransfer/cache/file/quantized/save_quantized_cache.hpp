#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/detail/code_tensors.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/frame_json.hpp"
#include "kvtransfer/cache/file/detail/frame_tensors.hpp"
#include "kvtransfer/cache/file/detail/framed_file_writer.hpp"
#include "kvtransfer/cache/file/detail/quantized_json.hpp"
#include "kvtransfer/cache/file/detail/specification_json.hpp"
#include "kvtransfer/cache/file/detail/streamed_tensor.hpp"
#include "kvtransfer/cache/quantized/quantized_cache.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer {

namespace detail {

/// One of the tensors that a layer's keys (or values) are, and its name in the file.
struct named_part {
  std::string name;
  at::Tensor tensor;
};

/// @throws value_error for the codes of a type that safetensors lacks
inline code_record record_of(const quantized_tensor& tensor, const std::string& prefix) {
  const auto dtype = safetensors_dtype_of(tensor.dtype);
  require<value_error>(dtype && cache_format::is_floating(*dtype), "save_cache", prefix,
                       "codes of a floating dtype that safetensors has", at::toString(tensor.dtype));
  return {tensor.scheme, tensor.groups, *dtype, tensor.carried_error.defined()};
}

/// All tensors of the file but the frames', layer by layer.
inline std::vector<named_part> parts_of(const quantized_cache& kv, const quantized_record& record) {
  std::vector<named_part> parts;
  for (std::int64_t i = 0; i < kv.layers(); ++i) {
    const auto index = static_cast<std::size_t>(i);
    const auto add = [&](const quantized_tensor& tensor, const std::string& prefix, const code_record& codes) {
      for (const auto& [name, part] : code_tensors(prefix, codes)) {
        parts.push_back({name, tensor.*part});
      }
    };
    add(kv.stored_keys(i), cache_format::key(index), record.layers[index].keys);
    add(kv.values(i), cache_format::value(index), record.layers[index].values);
  }
  return parts;
}

/// Refuses what a reader of the file would refuse, before anything is written.
/// @throws frame_error where a rotary specification does not fit the keys, or the frames tell of two caches
inline void require_writable(const quantized_cache& kv) {
  require<frame_error>(kv.stored().origin() == kv.target().origin() && kv.stored().tokens() == kv.target().tokens() &&
                           kv.stored().assumed() == kv.target().assumed() && kv.stored().edits() == kv.target().edits(),
                       "save_cache", "target frame", "model, text and edits of the stored one", "another");
  for (std::int64_t i = 0; i < kv.layers(); ++i) {
    for (const cache_frame* frame : {&kv.stored(), &kv.target()}) {
      for (const rotary_specification& specification : frame->layer(i).specifications) {
        require_fitting<frame_error>(specification, frame->layer(i).positions.streams(),
                                     kv.stored_keys(i).extents().head_dim, "save_cache", cache_format::key(i));
      }
    }
  }
}

/// How all codes are to be read. @param distinct of the stored frame; the target's layers are added
inline quantized_record record_of(const quantized_cache& kv, distinct_frames& distinct) {
  quantized_record record{distinct.add(kv.target()), {}};
  for (std::int64_t i = 0; i < kv.layers(); ++i) {
    const auto index = static_cast<std::size_t>(i);
    record.layers.push_back(
        {record_of(kv.stored_keys(i), cache_format::key(index)), record_of(kv.values(i), cache_format::value(index))});
  }
  return record;
}

}  // namespace detail

/// Writes codes and scales to a file as they are, whole or not at all; an older file of the name is replaced. Moves
/// that are pending stay so. Tensors on a GPU come over one at a time.
/// @throws value_error for positions past 2^53, no text at all, or a dtype that safetensors lacks; frame_error where a
/// rotary specification does not fit the keys, or the frames tell of two caches; file_error if the disk refuses
inline void save_cache(const std::filesystem::path& path, const quantized_cache& kv,
                       file_checksums checksums = file_checksums::crc32) {
  detail::require_writable(kv);
  detail::distinct_frames distinct(kv.stored());
  const detail::quantized_record record = detail::record_of(kv, distinct);
  const std::vector<detail::named_part> parts = detail::parts_of(kv, record);
  std::vector<unplaced_tensor> declared;
  for (const detail::named_part& part : parts) {
    declared.push_back({part.name, *safetensors_dtype_of(part.tensor.scalar_type()), part.tensor.sizes().vec()});
  }
  detail::framed_file_writer writer(
      path, detail::frame_tensors(kv.stored(), distinct), declared,
      {{std::string(detail::cache_format::frame_entry),
        detail::format_frame(detail::record_of(kv.stored(), distinct, checksums))},
       {std::string(detail::cache_format::quantized_entry), detail::format_quantized(record)}},
      checksums);
  for (const detail::named_part& part : parts) {
    detail::streamed_tensor tensor = writer.streamed(part.name);
    tensor.write(writer.file(), 0, part.tensor);
    writer.complete(tensor, "save_cache");
  }
  writer.finish();
}

}  // namespace kvtransfer
