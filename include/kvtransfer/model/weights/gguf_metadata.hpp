#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvtransfer {

/// What a metadata value consists of; the values are the file's own numbers.
/// Source: ggml-org/ggml, docs/gguf.md, gguf_metadata_value_type.
enum class gguf_value_type : std::uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  text = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

/// One value as it lies in the file, checked but not read: a vocabulary costs nothing until somebody asks for it.
/// Non-owning: `bytes` are the file's.
struct gguf_value {
  gguf_value_type element{};  ///< never `array`
  bool is_array = false;      ///< whether the file has it as an array, of one element too
  std::uint64_t count = 1;    ///< elements
  std::span<const std::byte>
      bytes;  ///< the elements one behind the other; a text is its length (8 bytes) and its bytes
};

/// The metadata of a GGUF file: typed reading of its values; what does not fit becomes a `file_error` with file and
/// key.
///
/// Non-owning: the bytes it was parsed from must outlive it. A missing key gives nothing, or an empty list.
class gguf_metadata {
 public:
  gguf_metadata() = default;
  /// @param file named in errors
  explicit gguf_metadata(std::string file) : file_(std::move(file)) {}

  /// Named in errors.
  [[nodiscard]] const std::string& file() const { return file_; }
  /// All values by key.
  [[nodiscard]] const std::map<std::string, gguf_value, std::less<>>& values() const { return values_; }
  /// Whether there is such a key.
  [[nodiscard]] bool has(std::string_view key) const { return values_.contains(key); }

  /// Adds a value whose bytes were checked; false where the key is there already.
  bool add(std::string key, const gguf_value& value) { return values_.emplace(std::move(key), value).second; }

  /// A whole number, of any of the file's integer types. @throws file_error for another type, or one past 2^63 - 1
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key) const;

  /// A number. One of 32 bits comes as the double nearest to its shortest decimal form, 1e-05 and not
  /// 9.999999747378752e-06: what the model's author wrote, rounded to 32 bits by whoever made the file.
  /// @throws file_error for another type
  [[nodiscard]] std::optional<double> number(std::string_view key) const;

  /// @throws file_error for another type
  [[nodiscard]] std::optional<bool> boolean(std::string_view key) const;

  /// A text's bytes, UTF-8 or not. Non-owning. @throws file_error for another type
  [[nodiscard]] std::optional<std::string_view> text(std::string_view key) const;

  /// An array of whole numbers or of booleans; a single one counts as an array of one.
  /// @throws file_error for another type, or a number past 2^63 - 1
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view key) const;

  /// An array of 32-bit floats. @throws file_error for another type
  [[nodiscard]] std::vector<float> floats(std::string_view key) const;

  /// An array of texts. Non-owning. @throws file_error for another type
  [[nodiscard]] std::vector<std::string_view> texts(std::string_view key) const;

  /// @throws file_error always: the key, what was expected, and the value found
  [[noreturn]] void refuse(std::string_view key, std::string_view expected) const;

 private:
  [[nodiscard]] const gguf_value* find(std::string_view key) const;

  std::string file_;
  std::map<std::string, gguf_value, std::less<>> values_;
};

/// The double nearest to the shortest decimal that names this float: 0.1, not 0.10000000149.
[[nodiscard]] double shortest_decimal(float value);

}  // namespace kvtransfer
