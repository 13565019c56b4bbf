#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/tensor/safetensors_dtype.hpp"

namespace kvtransfer {

/// One tensor as a safetensors header describes it.
struct safetensors_entry {
  safetensors_dtype dtype{};        ///< of the stored elements
  std::vector<std::int64_t> shape;  ///< row-major; empty for a scalar
  std::uint64_t begin = 0;          ///< bytes from the start of the data
  std::uint64_t end = 0;            ///< one past the last byte

  friend bool operator==(const safetensors_entry&, const safetensors_entry&) = default;
};

/// Bytes that a shape takes, or nothing where they pass 2^63 - 1, what torch can count.
///
/// A zero dimension hides no overflow of the others: the strides would overflow all the same.
[[nodiscard]] std::optional<std::uint64_t> safetensors_bytes(const std::vector<std::int64_t>& shape,
                                                             safetensors_dtype dtype);

namespace safetensors_details {

/// Names the tensor and the field that a header gets wrong.
struct entry_field {
  std::string_view file;    ///< the file's name
  std::string_view tensor;  ///< the tensor's name
  std::string_view field;   ///< as "dtype"

  /// @throws file_error always
  [[noreturn]] void refuse(std::string_view expected, std::string_view got) const;
};

[[nodiscard]] safetensors_dtype read_dtype(const nlohmann::json& value, const entry_field& field);

[[nodiscard]] std::vector<std::int64_t> read_shape(const nlohmann::json& value, const entry_field& field);

void read_offsets(const nlohmann::json& value, const entry_field& field, safetensors_entry& entry);

/// One tensor's object in the header. @throws file_error
[[nodiscard]] safetensors_entry read_entry(const nlohmann::json& fields, std::string_view tensor,
                                           std::string_view file);

}  // namespace safetensors_details

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian and used as it is");

/// What a file says of itself, by name.
using safetensors_metadata = std::map<std::string, std::string, std::less<>>;

/// Everything a safetensors file says before its data. No torch here: a hostile file is refused before a tensor exists.
struct safetensors_header {
  std::map<std::string, safetensors_entry, std::less<>> tensors;  ///< by name; together they tile the data
  safetensors_metadata metadata;                                  ///< free text by key, the header's `__metadata__`
  std::uint64_t data_begin = 0;                                   ///< bytes from the start of the file

  friend bool operator==(const safetensors_header&, const safetensors_header&) = default;
};

/// Longest header that readers accept, in bytes. Source: huggingface/safetensors, `tensor.rs`, MAX_HEADER_SIZE.
inline constexpr std::uint64_t safetensors_max_header = 100'000'000;

namespace safetensors_details {

inline constexpr std::uint64_t length_bytes = 8;
inline constexpr std::string_view metadata_key = "__metadata__";

/// The JSON text behind the length field.
[[nodiscard]] std::string_view header_text(std::span<const std::byte> bytes, std::string_view file);

[[nodiscard]] safetensors_metadata read_metadata(const nlohmann::json& fields, std::string_view file);

/// The tensors must tile the data: no overlap, no gap, nothing past the end, nothing left over.
void check_tiling(const safetensors_header& header, std::uint64_t data_bytes, std::string_view file);

}  // namespace safetensors_details

/// A tensor that a file is going to hold.
struct unplaced_tensor {
  std::string name;                 ///< unique in the file, other than `__metadata__`
  safetensors_dtype dtype{};        ///< of its elements
  std::vector<std::int64_t> shape;  ///< row-major; empty for a scalar
};

/// Gives every tensor its bytes: wider types first, as huggingface/safetensors does, so that each stands on its natural
/// alignment without gaps, which the format forbids; within a type in the order given, so that what is read together
/// lies together.
/// @throws value_error for a name twice, sizes below 0, or more than 2^63 - 1 bytes in all
[[nodiscard]] safetensors_header place_tensors(std::vector<unplaced_tensor> tensors);

/// Reads and checks the header of a safetensors file.
/// @param bytes the whole file; only the header is touched
/// @param file named in errors
/// @throws file_error with the field, what was expected and what was found
/// Source: the format section of huggingface/safetensors' README, and what its `tensor.rs` refuses.
[[nodiscard]] safetensors_header parse_safetensors_header(std::span<const std::byte> bytes, std::string_view file);

/// What stands before the data: length, JSON, and spaces up to a multiple of 64 bytes, which aligns mapped tensors.
/// @param header its `data_begin` is not read
/// @throws value_error if a name or a metadata string is not UTF-8, or if they make a header that no reader accepts
[[nodiscard]] std::string format_safetensors_header(const safetensors_header& header);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/detail/safetensors_header.ipp"  // IWYU pragma: export
#endif
