#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/tensor/safetensors_dtype.hpp"

namespace kvtransfer {

/// One tensor as a safetensors header describes it.
struct safetensors_entry {
  safetensors_dtype dtype{};
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  ///< bytes from the start of the data
  std::uint64_t end = 0;    ///< one past the last byte

  friend bool operator==(const safetensors_entry&, const safetensors_entry&) = default;
};

/// Bytes that a shape takes, or nothing where they pass 2^63 - 1, what torch can count.
///
/// A zero dimension hides no overflow of the others: the strides would overflow all the same.
inline std::optional<std::uint64_t> safetensors_bytes(const std::vector<std::int64_t>& shape, safetensors_dtype dtype) {
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

namespace safetensors_details {

/// Names the tensor and the field that a header gets wrong.
struct entry_field {
  std::string_view file;
  std::string_view tensor;
  std::string_view field;

  [[noreturn]] void refuse(std::string_view expected, std::string_view got) const {
    fail<file_error>(file, fmt::format("tensor {}: {}", excerpt(tensor), field), expected, got);
  }
};

inline safetensors_dtype read_dtype(const nlohmann::json& value, const entry_field& field) {
  const auto known = value.is_string() ? safetensors_dtype_named(value.get_ref<const std::string&>()) : std::nullopt;
  if (!known) {
    field.refuse("one of " + safetensors_dtype_names(), excerpt(value));
  }
  return *known;
}

inline std::vector<std::int64_t> read_shape(const nlohmann::json& value, const entry_field& field) {
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

inline void read_offsets(const nlohmann::json& value, const entry_field& field, safetensors_entry& entry) {
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

/// One tensor's object in the header. @throws file_error
inline safetensors_entry read_entry(const nlohmann::json& fields, std::string_view tensor, std::string_view file) {
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

}  // namespace safetensors_details
}  // namespace kvtransfer
