#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer::detail {

/// The CRC-32 of gzip and PNG (Python: `zlib.crc32`).
inline std::uint32_t crc32_of(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

/// The checksum of two stretches one after the other, from those of each.
/// @param second_bytes length of the second
inline std::uint32_t crc32_joined(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes) {
  return static_cast<std::uint32_t>(::crc32_combine(first, second, static_cast<z_off_t>(second_bytes)));
}

/// CRC-32 of what a cache file holds, by name: tensors, and the texts of metadata entries.
using checksum_list = std::map<std::string, std::uint32_t, std::less<>>;

/// CRC-32 over the names of what a cache file has to hold. It covers, one line each: of every tensor of `cache_format`,
/// by name, its name, its type and its shape `2,2,5,8`; of every metadata entry `kvtransfer.…` but the checksums
/// themselves, by name, its name and its text.
inline std::uint32_t header_checksum(const safetensors_header& header) {
  std::string names;
  for (const auto& [name, entry] : header.tensors) {
    if (cache_format::is_reserved(name)) {
      names += fmt::format("{}\n{}\n{}\n", name, describe(entry.dtype).name, fmt::join(entry.shape, ","));
    }
  }
  for (const auto& [name, text] : header.metadata) {
    if (name.starts_with(cache_format::entry_prefix) && name != cache_format::checksum_entry) {
      names += fmt::format("{}\n{}\n", name, text);
    }
  }
  return crc32_of(std::as_bytes(std::span(names)));
}

/// What `kvtransfer.checksum` says.
struct checksum_record {
  std::optional<std::uint32_t> header;  ///< as `header_checksum`; none in version 1
  checksum_list values;

  friend bool operator==(const checksum_record&, const checksum_record&) = default;
};

/// The text of the metadata entry `kvtransfer.checksum`; its length depends on the names alone, so that it can be
/// replaced once the data is known.
/// @param header as `header_checksum`
inline std::string format_checksums(std::uint32_t header, const checksum_list& checksums) {
  nlohmann::ordered_json values = nlohmann::ordered_json::object();
  for (const auto& [name, value] : checksums) {
    values[name] = fmt::format("{:08x}", value);
  }
  return nlohmann::ordered_json{{"algorithm", "crc32"}, {"header", fmt::format("{:08x}", header)}, {"values", values}}
      .dump();
}

inline std::uint32_t read_checksum(const json_reader& value) {
  const std::string digits = value.text();
  std::uint32_t checksum = 0;
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), checksum, 16).ptr;
  if (digits.size() != 8 || end != digits.data() + digits.size()) {
    value.refuse("8 hexadecimal digits");
  }
  return checksum;
}

/// Reads that text. @param file named in errors
/// @throws file_error for another algorithm, or what is no list of checksums
inline checksum_record parse_checksums(std::string_view text, std::string_view file) {
  constexpr int deepest = 2;
  const nlohmann::json json = parse_json(text, fmt::format("{}: {}", file, cache_format::checksum_entry), deepest);
  const json_reader document(json, file, std::string(cache_format::checksum_entry));
  const bool has_header = document.find("header").has_value();
  if (has_header) {
    document.require_members({"algorithm", "header", "values"});
  } else {
    document.require_members({"algorithm", "values"});
  }
  if (document.member("algorithm").text() != "crc32") {
    document.member("algorithm").refuse("crc32");
  }
  checksum_record checksums;
  if (has_header) {
    checksums.header = read_checksum(document.member("header"));
  }
  document.member("values").for_each_member(
      [&](const std::string& name, const json_reader& value) { checksums.values.emplace(name, read_checksum(value)); });
  return checksums;
}

/// @throws file_error unless `checksums` has `name` with the value of `bytes`
inline void require_checksum(const checksum_list& checksums, std::string_view name, std::span<const std::byte> bytes,
                             std::string_view file) {
  const auto found = checksums.find(name);
  require<file_error>(found != checksums.end(), file, formatted("{}.values", cache_format::checksum_entry),
                      formatted("an entry for {}", name), "none");
  const std::uint32_t computed = crc32_of(bytes);
  require<file_error>(computed == found->second, file, formatted("checksum of {}", name),
                      formatted("{:08x}", found->second),
                      formatted("{:08x}, so the data has changed since it was written", computed));
}

}  // namespace kvtransfer::detail
