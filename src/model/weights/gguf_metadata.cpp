#include "kvtransfer/model/weights/gguf_metadata.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <limits>

#include "gguf_scalar.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"

namespace kvtransfer {

namespace {

using detail::read_scalar;

/// An integer or a boolean as 64 bits; nothing for other types, and for a number past them.
std::optional<std::int64_t> whole_number(gguf_value_type type, const std::byte* bytes) {
  using enum gguf_value_type;
  switch (type) {
    case u8:
    case boolean:
      return read_scalar<std::uint8_t>(bytes);
    case i8:
      return read_scalar<std::int8_t>(bytes);
    case u16:
      return read_scalar<std::uint16_t>(bytes);
    case i16:
      return read_scalar<std::int16_t>(bytes);
    case u32:
      return read_scalar<std::uint32_t>(bytes);
    case i32:
      return read_scalar<std::int32_t>(bytes);
    case i64:
      return read_scalar<std::int64_t>(bytes);
    case u64: {
      const auto value = read_scalar<std::uint64_t>(bytes);
      constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
      return value > largest ? std::nullopt : std::optional(static_cast<std::int64_t>(value));
    }
    default:
      return std::nullopt;
  }
}

/// The text at `bytes`, and where the next one begins.
std::string_view read_text(const std::byte*& bytes) {
  const auto length = read_scalar<std::uint64_t>(bytes);
  const auto* begin = reinterpret_cast<const char*>(bytes + sizeof length);
  bytes += sizeof length + length;
  return {begin, length};
}

/// A value as an error shows it.
std::string shown(const gguf_value& value) {
  const std::string_view type = detail::gguf_type_name(value.element);
  if (value.is_array) {
    return fmt::format("an array of {} x {}", value.count, type);
  }
  const std::byte* bytes = value.bytes.data();
  switch (value.element) {
    case gguf_value_type::text:
      return excerpt(read_text(bytes));
    case gguf_value_type::boolean:
      return read_scalar<std::uint8_t>(bytes) != 0 ? "true" : "false";
    case gguf_value_type::f32:
      return fmt::format("{} ({})", read_scalar<float>(bytes), type);
    case gguf_value_type::f64:
      return fmt::format("{} ({})", read_scalar<double>(bytes), type);
    case gguf_value_type::u64:
      return fmt::format("{} ({})", read_scalar<std::uint64_t>(bytes), type);
    default:
      return fmt::format("{} ({})", *whole_number(value.element, bytes), type);
  }
}

}  // namespace

const gguf_value* gguf_metadata::find(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

void gguf_metadata::refuse(std::string_view key, std::string_view expected) const {
  const gguf_value* value = find(key);
  fail<file_error>(file_, excerpt(key), expected, value == nullptr ? "no such key" : shown(*value));
}

std::optional<std::int64_t> gguf_metadata::integer(std::string_view key) const {
  const gguf_value* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  const bool fits = !value->is_array && value->element != gguf_value_type::boolean;
  const auto number = fits ? whole_number(value->element, value->bytes.data()) : std::nullopt;
  if (!number) {
    refuse(key, "an integer of at most 2^63 - 1");
  }
  return number;
}

std::optional<double> gguf_metadata::number(std::string_view key) const {
  const gguf_value* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (!value->is_array && value->element == gguf_value_type::f32) {
    return shortest_decimal(read_scalar<float>(value->bytes.data()));
  }
  if (value->is_array || value->element != gguf_value_type::f64) {
    refuse(key, "a float32 or float64");
  }
  return read_scalar<double>(value->bytes.data());
}

std::optional<bool> gguf_metadata::boolean(std::string_view key) const {
  const gguf_value* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (value->is_array || value->element != gguf_value_type::boolean) {
    refuse(key, "true or false");
  }
  return read_scalar<std::uint8_t>(value->bytes.data()) != 0;
}

std::optional<std::string_view> gguf_metadata::text(std::string_view key) const {
  const gguf_value* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (value->is_array || value->element != gguf_value_type::text) {
    refuse(key, "a text");
  }
  const std::byte* bytes = value->bytes.data();
  return read_text(bytes);
}

std::vector<std::int64_t> gguf_metadata::integers(std::string_view key) const {
  const gguf_value* value = find(key);
  std::vector<std::int64_t> numbers;
  for (std::uint64_t i = 0; value != nullptr && i < value->count; ++i) {
    const std::byte* bytes = value->bytes.data() + i * detail::gguf_element_bytes(value->element);
    const auto number = whole_number(value->element, bytes);
    if (!number) {
      refuse(key, "integers of at most 2^63 - 1, or booleans");
    }
    numbers.push_back(*number);
  }
  return numbers;
}

std::vector<float> gguf_metadata::floats(std::string_view key) const {
  const gguf_value* value = find(key);
  if (value == nullptr) {
    return {};
  }
  if (!value->is_array || value->element != gguf_value_type::f32) {
    refuse(key, "an array of float32");
  }
  std::vector<float> numbers(value->count);
  if (!numbers.empty()) {
    std::memcpy(numbers.data(), value->bytes.data(), value->bytes.size());
  }
  return numbers;
}

std::vector<std::string_view> gguf_metadata::texts(std::string_view key) const {
  const gguf_value* value = find(key);
  if (value == nullptr) {
    return {};
  }
  if (!value->is_array || value->element != gguf_value_type::text) {
    refuse(key, "an array of texts");
  }
  std::vector<std::string_view> texts(value->count);
  const std::byte* bytes = value->bytes.data();
  for (std::string_view& text : texts) {
    text = read_text(bytes);
  }
  return texts;
}

double shortest_decimal(float value) {
  char digits[64];
  const auto written = std::to_chars(digits, digits + sizeof digits, value);
  double number = 0;
  std::from_chars(digits, written.ptr, number);
  return number;
}

}  // namespace kvtransfer
