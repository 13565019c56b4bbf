#include "kvtransfer/model/weights/gguf_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "gguf_cursor.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/git_lfs.hpp"

namespace kvtransfer {

namespace {

using detail::gguf_cursor;

constexpr std::uint64_t length_bytes = 8;
constexpr std::uint64_t type_bytes = 4;
constexpr std::uint64_t smallest_value = length_bytes + type_bytes + 1;  // a nameless byte
constexpr std::uint64_t smallest_tensor = length_bytes + 4 + length_bytes + type_bytes + length_bytes;  // one dimension
constexpr std::uint32_t most_dimensions = 4;
constexpr std::uint32_t default_alignment = 32;

std::uint32_t read_version(gguf_cursor& cursor) {
  constexpr std::string_view magic = "GGUF";
  const auto found = cursor.take(magic.size(), "magic");
  const std::string_view text(reinterpret_cast<const char*>(found.data()), found.size());
  require<file_error>(text == magic, cursor.file(), "magic", "GGUF", excerpt(text));
  const auto version = cursor.number<std::uint32_t>("version");
  constexpr std::string_view versions = "2 or 3, little-endian";
  require<file_error>((version & 0xffff) != 0 || version == 0, cursor.file(), "version", versions, "a big-endian file");
  require<file_error>(version == 2 || version == 3, cursor.file(), "version", versions, fmt::format("{}", version));
  return version;
}

gguf_value_type read_value_type(gguf_cursor& cursor, std::string_view what) {
  const auto number = cursor.number<std::uint32_t>(what);
  if (number > static_cast<std::uint32_t>(gguf_value_type::f64)) {
    fail<file_error>(cursor.file(), what, "a value type from 0 to 12", fmt::format("{}", number));
  }
  return static_cast<gguf_value_type>(number);
}

void check_booleans(const gguf_value& value, const gguf_cursor& cursor, std::string_view what) {
  const auto wrong =
      std::find_if(value.bytes.begin(), value.bytes.end(), [](std::byte byte) { return byte > std::byte{1}; });
  if (wrong != value.bytes.end()) {
    fail<file_error>(cursor.file(), what, "booleans of 0 or 1", fmt::format("{}", std::to_integer<int>(*wrong)));
  }
}

gguf_value read_value(gguf_cursor& cursor, std::string_view what) {
  gguf_value value;
  value.element = read_value_type(cursor, what);
  if (value.element == gguf_value_type::array) {
    value.is_array = true;
    value.element = read_value_type(cursor, what);
    require<file_error>(value.element != gguf_value_type::array, cursor.file(), what, "an array of numbers or texts",
                        "an array of arrays");
  }
  const std::uint64_t size = detail::gguf_element_bytes(value.element);
  if (value.is_array) {
    value.count = cursor.count(what, size == 0 ? length_bytes : size);
  }
  if (size > 0) {
    value.bytes = cursor.take(value.count * size, what);
  } else {
    const std::uint64_t begin = cursor.offset();
    for (std::uint64_t i = 0; i < value.count; ++i) {
      cursor.text(what);
    }
    value.bytes = cursor.since(begin);
  }
  if (value.element == gguf_value_type::boolean) {
    check_booleans(value, cursor, what);
  }
  return value;
}

gguf_metadata read_metadata(gguf_cursor& cursor, std::uint64_t count) {
  gguf_metadata metadata{std::string(cursor.file())};
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string key(cursor.text("metadata key"));
    const std::string what = excerpt(key);
    if (!metadata.add(std::move(key), read_value(cursor, what))) {
      fail<file_error>(cursor.file(), "metadata", "unique keys", what + " twice");
    }
  }
  return metadata;
}

std::uint64_t alignment_of(const gguf_metadata& metadata) {
  constexpr std::string_view key = "general.alignment";
  const std::int64_t alignment = metadata.integer(key).value_or(default_alignment);
  if (alignment < 1 || alignment > std::numeric_limits<std::uint32_t>::max() || (alignment & (alignment - 1)) != 0) {
    metadata.refuse(key, "a power of two below 2^32");
  }
  return static_cast<std::uint64_t>(alignment);
}

/// Bytes that a tensor takes, or nothing where it has more than 2^63 - 1 elements or bytes, more than torch can count.
std::optional<std::uint64_t> bytes_of(const gguf_tensor& tensor) {
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t elements = 1;
  for (const std::int64_t extent : tensor.shape) {
    if (elements > largest / static_cast<std::uint64_t>(extent)) {
      return std::nullopt;
    }
    elements *= static_cast<std::uint64_t>(extent);
  }
  const gguf_block_format& format = describe(tensor.type);
  const std::uint64_t blocks = elements / format.elements;
  return blocks > largest / format.bytes ? std::nullopt : std::optional(blocks * format.bytes);
}

std::vector<std::int64_t> read_shape(gguf_cursor& cursor, std::string_view what) {
  const auto dimensions = cursor.number<std::uint32_t>(what);
  if (dimensions < 1 || dimensions > most_dimensions) {
    fail<file_error>(cursor.file(), what, fmt::format("1 to {} dimensions", most_dimensions),
                     fmt::format("{}", dimensions));
  }
  std::vector<std::int64_t> shape(dimensions);
  for (auto extent = shape.rbegin(); extent != shape.rend(); ++extent) {
    *extent = cursor.number<std::int64_t>(what);
    if (*extent < 1) {
      fail<file_error>(cursor.file(), what, "sizes from 1 to 2^63 - 1",
                       fmt::format("{}", static_cast<std::uint64_t>(*extent)));
    }
  }
  return shape;
}

/// A tensor's description; `begin` still counts from the start of the data.
gguf_tensor read_tensor(gguf_cursor& cursor, std::string_view what) {
  gguf_tensor tensor;
  tensor.shape = read_shape(cursor, what);
  const auto number = cursor.number<std::uint32_t>(what);
  const auto type = gguf_tensor_type_numbered(number);
  if (!type) {
    fail<file_error>(cursor.file(), what, "a known tensor type", fmt::format("number {}", number));
  }
  tensor.type = *type;
  const gguf_block_format& format = describe(*type);
  if (tensor.shape.back() % format.elements != 0) {
    fail<file_error>(cursor.file(), what, fmt::format("rows of whole {} blocks of {}", format.name, format.elements),
                     fmt::format("rows of {}", tensor.shape.back()));
  }
  const auto bytes = bytes_of(tensor);
  require<file_error>(bytes.has_value(), cursor.file(), what, "at most 2^63 - 1 elements and bytes", "more");
  tensor.bytes = *bytes;
  tensor.begin = cursor.number<std::uint64_t>(what);
  return tensor;
}

std::string name_of(std::string_view tensor) { return "tensor " + excerpt(tensor); }

void read_tensors(gguf_cursor& cursor, std::uint64_t count, gguf_header& header) {
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string name(cursor.text("tensor name"));
    const std::string what = name_of(name);
    if (!header.tensors.emplace(std::move(name), read_tensor(cursor, what)).second) {
      fail<file_error>(cursor.file(), "tensors", "unique names", what + " twice");
    }
  }
}

/// Puts the tensors to their places in the file: aligned, inside it, and apart from one another.
void place_tensors(gguf_header& header, std::uint64_t alignment, std::uint64_t file_bytes, std::string_view file) {
  std::vector<std::tuple<std::uint64_t, std::uint64_t, std::string_view>> ranges;
  const std::uint64_t room = file_bytes - std::min(file_bytes, header.data_begin);
  for (auto& [name, tensor] : header.tensors) {
    if (tensor.begin % alignment != 0 || tensor.begin > room || tensor.bytes > room - tensor.begin) {
      fail<file_error>(
          file, name_of(name),
          fmt::format("{} bytes at a multiple of {} within {} bytes of data", tensor.bytes, alignment, room),
          fmt::format("byte {}", tensor.begin));
    }
    tensor.begin += header.data_begin;
    ranges.emplace_back(tensor.begin, tensor.bytes, name);
  }
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    const auto& [begin, bytes, name] = ranges[i - 1];
    const auto& [next, next_bytes, next_name] = ranges[i];
    if (begin + bytes > next) {
      fail<file_error>(file, name_of(next_name),
                       fmt::format("a place behind {}, which ends at byte {}", name_of(name), begin + bytes),
                       fmt::format("byte {}", next));
    }
  }
}

}  // namespace

gguf_header parse_gguf_header(std::span<const std::byte> bytes, std::string_view file) {
  refuse_git_lfs_pointer(bytes, file);
  gguf_cursor cursor(bytes, file);
  gguf_header header;
  header.version = read_version(cursor);
  const auto tensors = cursor.number<std::uint64_t>("tensor count");
  header.metadata = read_metadata(cursor, cursor.count("metadata count", smallest_value));
  if (header.metadata.integer("split.count").value_or(1) > 1) {
    header.metadata.refuse("split.count", "a model in one file");
  }
  if (tensors > cursor.left() / smallest_tensor) {
    fail<file_error>(file, "tensor count", fmt::format("at most {}", cursor.left() / smallest_tensor),
                     fmt::format("{}", tensors));
  }
  read_tensors(cursor, tensors, header);
  const std::uint64_t alignment = alignment_of(header.metadata);
  header.data_begin = (cursor.offset() + alignment - 1) / alignment * alignment;
  place_tensors(header, alignment, bytes.size(), file);
  return header;
}

}  // namespace kvtransfer
