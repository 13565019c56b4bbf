#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/model/weights/gguf_metadata.hpp"
#include "kvtransfer/model/weights/gguf_tensor_type.hpp"

namespace kvtransfer {

/// One tensor as a GGUF header describes it.
struct gguf_tensor {
  gguf_tensor_type type{};          ///< how its elements are stored
  std::vector<std::int64_t> shape;  ///< outermost dimension first, as torch has it; the file has it the other way round
  std::uint64_t begin = 0;          ///< bytes from the start of the file
  std::uint64_t bytes = 0;          ///< of all its blocks
};

/// Everything a GGUF file says before its data. No torch here: a hostile file is refused before a tensor exists.
/// Non-owning: the metadata points into the bytes parsed.
struct gguf_header {
  std::uint32_t version = 0;                                ///< of the format: 2 or 3
  std::uint64_t data_begin = 0;                             ///< bytes from the start of the file
  gguf_metadata metadata;                                   ///< keys and values
  std::map<std::string, gguf_tensor, std::less<>> tensors;  ///< by name
};

/// Reads and checks the header of a little-endian GGUF file of version 2 or 3.
///
/// Every count, length and offset is checked against the file before it is used; tensors lie aligned, inside the file
/// and apart from one another; no key and no tensor comes twice.
/// @param bytes the whole file; only the header is touched
/// @param file named in errors
/// @throws file_error naming the field, what was expected and what was found; so too for version 1, big-endian files,
///   one part of a split model, arrays of arrays and types of tensors without a name
/// Source: ggml-org/ggml, docs/gguf.md.
[[nodiscard]] gguf_header parse_gguf_header(std::span<const std::byte> bytes, std::string_view file);

}  // namespace kvtransfer
