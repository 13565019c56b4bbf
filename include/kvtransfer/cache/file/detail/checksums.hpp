#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer::detail {

/// The CRC-32 of gzip and PNG (Python: `zlib.crc32`).
std::uint32_t crc32_of(std::span<const std::byte> bytes);

/// The checksum of two stretches one after the other, from those of each.
/// @param second_bytes length of the second
std::uint32_t crc32_joined(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes);

/// CRC-32 of what a cache file holds, by name: tensors, and the texts of metadata entries.
using checksum_list = std::map<std::string, std::uint32_t, std::less<>>;

/// CRC-32 over the names of what a cache file has to hold. It covers, one line each: of every tensor of `cache_format`,
/// by name, its name, its type and its shape `2,2,5,8`; of every metadata entry `kvtransfer.…` but the checksums
/// themselves, by name, its name and its text.
std::uint32_t header_checksum(const safetensors_header& header);

/// What `kvtransfer.checksum` says.
struct checksum_record {
  std::optional<std::uint32_t> header;  ///< as `header_checksum`; none in version 1
  checksum_list values;

  friend bool operator==(const checksum_record&, const checksum_record&) = default;
};

/// The text of the metadata entry `kvtransfer.checksum`; its length depends on the names alone, so that it can be
/// replaced once the data is known.
/// @param header as `header_checksum`
std::string format_checksums(std::uint32_t header, const checksum_list& checksums);

/// Reads that text. @param file named in errors
/// @throws file_error for another algorithm, or what is no list of checksums
checksum_record parse_checksums(std::string_view text, std::string_view file);

/// @throws file_error unless `checksums` has `name` with the value of `bytes`
void require_checksum(const checksum_list& checksums, std::string_view name, std::span<const std::byte> bytes,
                      std::string_view file);

}  // namespace kvtransfer::detail

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/file/detail/checksums.ipp"  // IWYU pragma: export
#endif
