#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"
#include "kvtransfer/tensor/safetensors_writer.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE safetensors_writer::safetensors_writer(const std::filesystem::path& path,
                                                         const std::vector<safetensors_declaration>& tensors,
                                                         safetensors_metadata metadata)
    : file_(path), header_(placed(tensors)) {
  header_.metadata = std::move(metadata);
  const std::string text = format_safetensors_header(header_);
  header_.data_begin = text.size();
  file_.write_at(0, std::as_bytes(std::span(text)));
}

KVTRANSFER_INLINE void safetensors_writer::write(std::string_view name, const at::Tensor& piece) {
  const auto found = header_.tensors.find(name);
  require<value_error>(found != header_.tensors.end(), "safetensors_writer::write", "name", "a declared tensor",
                       excerpt(name));
  const safetensors_entry& entry = found->second;
  require<value_error>(piece.scalar_type() == scalar_type_of(entry.dtype), "safetensors_writer::write", name,
                       describe(entry.dtype).name, at::toString(piece.scalar_type()));
  std::uint64_t& written = written_[found->first];
  require<shape_error>(piece.nbytes() <= entry.end - entry.begin - written, "safetensors_writer::write", name,
                       formatted("at most {} more bytes", entry.end - entry.begin - written),
                       formatted("{}", piece.nbytes()));
  const at::Tensor dense = piece.detach().cpu().resolve_conj().resolve_neg().contiguous();
  file_.write_at(header_.data_begin + entry.begin + written,
                 {static_cast<const std::byte*>(dense.const_data_ptr()), dense.nbytes()});
  written += dense.nbytes();
}

KVTRANSFER_INLINE void safetensors_writer::commit() {
  for (const auto& [name, entry] : header_.tensors) {
    require_count<value_error>(written_[name], entry.end - entry.begin, "safetensors_writer::commit", name,
                               "{} bytes written");
  }
  file_.commit();
}

KVTRANSFER_INLINE safetensors_header safetensors_writer::placed(const std::vector<safetensors_declaration>& declared) {
  std::vector<unplaced_tensor> tensors;
  for (const auto& [name, type, shape] : declared) {
    const auto dtype = safetensors_dtype_of(type);
    require<value_error>(dtype.has_value(), "safetensors_writer", name, "one of " + safetensors_dtype_names(),
                         at::toString(type));
    tensors.push_back({name, *dtype, shape});
  }
  return place_tensors(std::move(tensors));
}

KVTRANSFER_INLINE void write_safetensors(const std::filesystem::path& path,
                                         const std::map<std::string, at::Tensor>& tensors,
                                         safetensors_metadata metadata) {
  std::vector<safetensors_declaration> declared;
  for (const auto& [name, tensor] : tensors) {
    declared.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  }
  safetensors_writer writer(path, declared, std::move(metadata));
  for (const auto& [name, tensor] : tensors) {
    writer.write(name, tensor);
  }
  writer.commit();
}

}  // namespace kvtransfer
