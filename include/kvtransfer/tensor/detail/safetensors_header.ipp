#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/git_lfs.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/tensor/safetensors_dtype.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE std::optional<std::uint64_t> safetensors_bytes(const std::vector<std::int64_t>& shape,
                                                                 safetensors_dtype dtype) {
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t bytes = describe(dtype).bytes;
  bool empty = false;
  for (const std::int64_t extent : shape) {
    empty = empty || extent == 0;
    const auto factor = static_cast<std::uint64_t>(std::max<std::int64_t>(extent, 1));
    if (bytes > largest / factor) {
      return std::nullopt;
    }
    bytes *= factor;
  }
  return empty ? 0 : bytes;
}

}  // namespace kvtransfer

namespace kvtransfer::safetensors_details {

KVTRANSFER_INLINE void entry_field::refuse(std::string_view expected, std::string_view got) const {
  fail<file_error>(file, fmt::format("tensor {}: {}", excerpt(tensor), field), expected, got);
}

KVTRANSFER_INLINE safetensors_dtype read_dtype(const nlohmann::json& value, const entry_field& field) {
  const auto known = value.is_string() ? safetensors_dtype_named(value.get_ref<const std::string&>()) : std::nullopt;
  if (!known) {
    field.refuse("one of " + safetensors_dtype_names(), excerpt(value));
  }
  return *known;
}

KVTRANSFER_INLINE std::vector<std::int64_t> read_shape(const nlohmann::json& value, const entry_field& field) {
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!value.is_array()) {
    field.refuse("a list of sizes", excerpt(value));
  }
  std::vector<std::int64_t> shape;
  for (const nlohmann::json& extent : value) {
    if (!extent.is_number_unsigned() || extent.get<std::uint64_t>() > largest) {
      field.refuse("sizes from 0 to 2^63 - 1", excerpt(extent));
    }
    shape.push_back(extent.get<std::int64_t>());
  }
  return shape;
}

KVTRANSFER_INLINE void read_offsets(const nlohmann::json& value, const entry_field& field, safetensors_entry& entry) {
  if (!value.is_array() || value.size() != 2 || !value[0].is_number_unsigned() || !value[1].is_number_unsigned()) {
    field.refuse("[begin, end] in bytes", excerpt(value));
  }
  entry.begin = value[0].get<std::uint64_t>();
  entry.end = value[1].get<std::uint64_t>();
  const auto bytes = safetensors_bytes(entry.shape, entry.dtype);
  if (!bytes) {
    field.refuse("a shape of at most 2^63 - 1 bytes", "more");
  }
  if (entry.end < entry.begin || entry.end - entry.begin != *bytes) {
    field.refuse(fmt::format("a range of {} bytes, as shape and dtype ask for", *bytes),
                 fmt::format("[{}, {}]", entry.begin, entry.end));
  }
}

KVTRANSFER_INLINE safetensors_entry read_entry(const nlohmann::json& fields, std::string_view tensor,
                                               std::string_view file) {
  if (!fields.is_object() || fields.size() != 3 || !fields.contains("dtype") || !fields.contains("shape") ||
      !fields.contains("data_offsets")) {
    entry_field{file, tensor, "fields"}.refuse("an object of dtype, shape and data_offsets", excerpt(fields));
  }
  safetensors_entry entry;
  entry.dtype = read_dtype(fields["dtype"], {file, tensor, "dtype"});
  entry.shape = read_shape(fields["shape"], {file, tensor, "shape"});
  read_offsets(fields["data_offsets"], {file, tensor, "data_offsets"}, entry);
  return entry;
}

KVTRANSFER_INLINE std::string_view header_text(std::span<const std::byte> bytes, std::string_view file) {
  require<file_error>(bytes.size() >= length_bytes, file, "header length", "8 bytes",
                      formatted("a file of {} bytes", bytes.size()));
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), length_bytes);
  const auto available = std::min<std::uint64_t>(bytes.size() - length_bytes, safetensors_max_header);
  require<file_error>(length <= available, file, "header length", formatted("at most {} bytes", available),
                      formatted("{}", length));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + length_bytes, length);
  if (!text.starts_with('{')) {
    fail<file_error>(file, "header", "JSON that begins with '{'", excerpt(text.substr(0, 1)));
  }
  return text;
}

KVTRANSFER_INLINE safetensors_metadata read_metadata(const nlohmann::json& fields, std::string_view file) {
  require<file_error>(fields.is_object(), file, metadata_key, "an object of strings",
                      [&] { return fields.type_name(); });
  safetensors_metadata metadata;
  for (const auto& [key, value] : fields.items()) {
    if (!value.is_string()) {
      fail<file_error>(file, fmt::format("{}: {}", metadata_key, excerpt(key)), "a string", value.type_name());
    }
    metadata.emplace(key, value.get_ref<const std::string&>());
  }
  return metadata;
}

KVTRANSFER_INLINE void check_tiling(const safetensors_header& header, std::uint64_t data_bytes, std::string_view file) {
  std::vector<std::tuple<std::uint64_t, std::uint64_t, std::string_view>> ranges;
  for (const auto& [name, entry] : header.tensors) {
    ranges.emplace_back(entry.begin, entry.end, name);
  }
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t covered = 0;
  for (const auto& [begin, end, name] : ranges) {
    if (begin != covered || end > data_bytes) {
      fail<file_error>(file, fmt::format("tensor {}: data_offsets", excerpt(name)),
                       fmt::format("a range that begins at byte {}, behind the tensor before it, and ends by {}",
                                   covered, data_bytes),
                       fmt::format("[{}, {}]", begin, end));
    }
    covered = end;
  }
  require<file_error>(covered == data_bytes, file, "data", formatted("{} bytes, as the header says", covered),
                      formatted("{}", data_bytes));
}

}  // namespace kvtransfer::safetensors_details

namespace kvtransfer {

KVTRANSFER_INLINE safetensors_header place_tensors(std::vector<unplaced_tensor> tensors) {
  std::ranges::stable_sort(tensors, std::ranges::greater(),
                           [](const unplaced_tensor& tensor) { return describe(tensor.dtype).bytes; });
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  safetensors_header header;
  std::uint64_t offset = 0;
  for (const auto& [name, dtype, shape] : tensors) {
    const auto bytes = safetensors_bytes(shape, dtype);
    if (std::ranges::any_of(shape, [](std::int64_t extent) { return extent < 0; }) || !bytes ||
        *bytes > largest - offset) {
      fail<value_error>("place_tensors", name, "sizes from 0, at most 2^63 - 1 bytes in all", excerpt(shape));
    }
    const bool unique = header.tensors.emplace(name, safetensors_entry{dtype, shape, offset, offset + *bytes}).second;
    require<value_error>(unique && name != safetensors_details::metadata_key, "place_tensors", "names",
                         "unique names other than __metadata__", excerpt(name));
    offset += *bytes;
  }
  return header;
}

KVTRANSFER_INLINE safetensors_header parse_safetensors_header(std::span<const std::byte> bytes, std::string_view file) {
  namespace details = safetensors_details;
  constexpr int deepest = 3;
  refuse_git_lfs_pointer(bytes, file);
  const std::string_view text = details::header_text(bytes, file);
  const nlohmann::json fields = parse_json(text, file, deepest);

  safetensors_header header;
  header.data_begin = details::length_bytes + text.size();
  for (const auto& [name, value] : fields.items()) {
    if (name == details::metadata_key) {
      header.metadata = details::read_metadata(value, file);
    } else {
      header.tensors.emplace(name, details::read_entry(value, name, file));
    }
  }
  details::check_tiling(header, bytes.size() - header.data_begin, file);
  return header;
}

KVTRANSFER_INLINE std::string format_safetensors_header(const safetensors_header& header) {
  namespace details = safetensors_details;
  constexpr std::uint64_t alignment = 64;
  nlohmann::ordered_json fields = nlohmann::ordered_json::object();
  if (!header.metadata.empty()) {
    fields[std::string(details::metadata_key)] = header.metadata;
  }
  for (const auto& [name, entry] : header.tensors) {
    fields[name] = {
        {"dtype", describe(entry.dtype).name}, {"shape", entry.shape}, {"data_offsets", {entry.begin, entry.end}}};
  }
  std::string text;
  try {
    text = fields.dump();
  } catch (const nlohmann::json::exception& bad) {
    fail<value_error>("format_safetensors_header", "names and metadata", "UTF-8", bad.what());
  }
  text.append((alignment - (details::length_bytes + text.size()) % alignment) % alignment, ' ');
  const std::uint64_t length = text.size();
  require<value_error>(length <= safetensors_max_header, "format_safetensors_header", "header",
                       formatted("at most {} bytes", safetensors_max_header), formatted("{}", length));
  std::string prefix(details::length_bytes, '\0');
  std::memcpy(prefix.data(), &length, prefix.size());
  return prefix + text;
}

}  // namespace kvtransfer
