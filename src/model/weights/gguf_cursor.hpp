#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "gguf_scalar.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

/// Walks through a header; whatever would reach past the end of the file is refused before it is read.
class gguf_cursor {
 public:
  gguf_cursor(std::span<const std::byte> bytes, std::string_view file) : bytes_(bytes), file_(file) {}

  [[nodiscard]] std::string_view file() const { return file_; }
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  [[nodiscard]] std::uint64_t left() const { return bytes_.size() - offset_; }

  /// The next `count` bytes. @param what named in errors
  std::span<const std::byte> take(std::uint64_t count, std::string_view what) {
    if (count > left()) [[unlikely]] {
      fail<file_error>(file_, what, fmt::format("{} bytes at byte {}", count, offset_),
                       fmt::format("the end of the file at {}", bytes_.size()));
    }
    const auto taken = bytes_.subspan(offset_, count);
    offset_ += count;
    return taken;
  }

  template <class T>
  T number(std::string_view what) {
    return read_scalar<T>(take(sizeof(T), what).data());
  }

  /// A count of things that take at least `smallest` bytes each: no larger than the file has room for.
  std::uint64_t count(std::string_view what, std::uint64_t smallest) {
    const auto count = number<std::uint64_t>(what);
    if (count > left() / smallest) [[unlikely]] {
      fail<file_error>(file_, what, fmt::format("at most {}, which {} bytes have room for", left() / smallest, left()),
                       fmt::format("{}", count));
    }
    return count;
  }

  std::string_view text(std::string_view what) {
    const auto bytes = take(number<std::uint64_t>(what), what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  /// What lies between an earlier offset and here.
  [[nodiscard]] std::span<const std::byte> since(std::uint64_t begin) const {
    return bytes_.subspan(begin, offset_ - begin);
  }

 private:
  std::span<const std::byte> bytes_;
  std::string_view file_;
  std::uint64_t offset_ = 0;
};

}  // namespace kvtransfer::detail
