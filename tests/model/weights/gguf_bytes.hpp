#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "kvtransfer/model/weights/gguf_metadata.hpp"
#include "kvtransfer/model/weights/gguf_tensor_type.hpp"

namespace kvtransfer::test {

/// Where the committed GGUF files lie, with a slash behind.
inline std::string gguf_fixtures() { return KVT_SOURCE_DIR "/tests/model/weights/fixtures/gguf/"; }

/// The bytes of a number, as a file has them.
template <class T>
std::string raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

inline std::string raw_text(std::string_view text) { return raw<std::uint64_t>(text.size()).append(text); }

/// A GGUF file put together piece by piece, as wrong as one wants it.
class gguf_bytes {
 public:
  std::uint32_t version = 3;
  std::optional<std::uint64_t> stated_values;   ///< instead of the true count
  std::optional<std::uint64_t> stated_tensors;  ///< likewise
  std::uint64_t alignment = 32;                 ///< what the data is padded to; no key says so

  /// A value of any type, its bytes given.
  gguf_bytes& value(std::string_view key, std::uint32_t type, std::string_view bytes) {
    ++values_;
    metadata_ += raw_text(key) + raw(type);
    metadata_ += bytes;
    return *this;
  }

  gguf_bytes& text(std::string_view key, std::string_view text) { return value(key, 8, raw_text(text)); }
  gguf_bytes& u32(std::string_view key, std::uint32_t number) { return value(key, 4, raw(number)); }
  gguf_bytes& f32(std::string_view key, float number) { return value(key, 6, raw(number)); }
  gguf_bytes& boolean(std::string_view key, bool is) { return value(key, 7, raw<std::uint8_t>(is)); }

  gguf_bytes& array(std::string_view key, std::uint32_t element, std::uint64_t count, std::string_view bytes) {
    return value(key, 9, (raw(element) + raw(count)).append(bytes));
  }

  /// A tensor's description. @param dims innermost first, as the file has them
  gguf_bytes& tensor(std::string_view name, std::initializer_list<std::uint64_t> dims, std::uint32_t type,
                     std::uint64_t offset) {
    ++tensors_;
    infos_ += raw_text(name) + raw(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t dim : dims) {
      infos_ += raw(dim);
    }
    infos_ += raw(type) + raw(offset);
    return *this;
  }

  /// A tensor of floats behind all others.
  gguf_bytes& floats(std::string_view name, std::initializer_list<std::uint64_t> dims, std::string_view bytes) {
    tensor(name, dims, 0, data_.size());
    return data(bytes);
  }

  gguf_bytes& data(std::string_view bytes) {
    data_ += bytes;
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
    return *this;
  }

  [[nodiscard]] std::string bytes() const {
    std::string file = "GGUF" + raw(version) + raw(stated_tensors.value_or(tensors_));
    file += raw(stated_values.value_or(values_)) + metadata_ + infos_;
    file.resize((file.size() + alignment - 1) / alignment * alignment);
    return file + data_;
  }

 private:
  std::uint64_t values_ = 0;
  std::uint64_t tensors_ = 0;
  std::string metadata_;
  std::string infos_;
  std::string data_;
};

}  // namespace kvtransfer::test
