#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/mapped_file.hpp"
#include "kvtransfer/tensor/operations.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE safetensors_file safetensors_file::open(const std::filesystem::path& path) {
  auto mapping = mapped_file::open(path);
  auto header = parse_safetensors_header(mapping->bytes(), path.string());
  return {std::move(mapping), std::move(header)};
}

KVTRANSFER_INLINE std::vector<std::string> safetensors_file::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : header_->tensors) {
    names.push_back(name);
  }
  return names;
}

KVTRANSFER_INLINE const safetensors_entry& safetensors_file::entry(std::string_view name) const {
  const auto found = header_->tensors.find(name);
  if (found == header_->tensors.end()) {
    fail<file_error>(path().string(), "tensor", excerpt(name),
                     fmt::format("{} other tensors", header_->tensors.size()));
  }
  return found->second;
}

KVTRANSFER_INLINE std::span<std::byte> safetensors_file::bytes(std::string_view name) const {
  return bytes().subspan(header_->data_begin + entry(name).begin, entry(name).end - entry(name).begin);
}

KVTRANSFER_INLINE at::Tensor safetensors_file::tensor(std::string_view name) const {
  const safetensors_entry& found = entry(name);
  const std::span<std::byte> data = bytes(name);
  const auto options = at::TensorOptions().dtype(scalar_type_of(found.dtype));
  if (reinterpret_cast<std::uintptr_t>(data.data()) % describe(found.dtype).bytes != 0) {
    at::Tensor copy = detail::new_tensor(found.shape, options);
    std::memcpy(copy.data_ptr(), data.data(), data.size());
    return copy;
  }
  return at::from_blob(data.data(), found.shape, [kept = mapping_](void*) {}, options);
}

}  // namespace kvtransfer
