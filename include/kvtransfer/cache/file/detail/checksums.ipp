#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "kvtransfer/cache/file/detail/checksums.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE std::uint32_t crc32_of(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

KVTRANSFER_INLINE std::uint32_t crc32_joined(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes) {
  return static_cast<std::uint32_t>(::crc32_combine(first, second, static_cast<z_off_t>(second_bytes)));
}

KVTRANSFER_INLINE std::uint32_t header_checksum(const safetensors_header& header) {
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

KVTRANSFER_INLINE std::string format_checksums(std::uint32_t header, const checksum_list& checksums) {
  nlohmann::ordered_json values = nlohmann::ordered_json::object();
  for (const auto& [name, value] : checksums) {
    values[name] = fmt::format("{:08x}", value);
  }
  return nlohmann::ordered_json{{"algorithm", "crc32"}, {"header", fmt::format("{:08x}", header)}, {"values", values}}
      .dump();
}

KVTRANSFER_INLINE std::uint32_t read_checksum(const json_reader& value) {
  const std::string digits = value.text();
  std::uint32_t checksum = 0;
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), checksum, 16).ptr;
  if (digits.size() != 8 || end != digits.data() + digits.size()) {
    value.refuse("8 hexadecimal digits");
  }
  return checksum;
}

KVTRANSFER_INLINE checksum_record parse_checksums(std::string_view text, std::string_view file) {
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

KVTRANSFER_INLINE void require_checksum(const checksum_list& checksums, std::string_view name,
                                        std::span<const std::byte> bytes, std::string_view file) {
  const auto found = checksums.find(name);
  require<file_error>(found != checksums.end(), file, formatted("{}.values", cache_format::checksum_entry),
                      formatted("an entry for {}", name), "none");
  const std::uint32_t computed = crc32_of(bytes);
  require<file_error>(computed == found->second, file, formatted("checksum of {}", name),
                      formatted("{:08x}", found->second),
                      formatted("{:08x}, so the data has changed since it was written", computed));
}

}  // namespace kvtransfer::detail
