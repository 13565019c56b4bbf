#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace kvtransfer::detail {

/// XXH3-128 of bytes that come piece by piece. It tells contents apart; it does not defend against forgery.
class digest {
 public:
  digest();
  digest(digest&&) noexcept;
  digest& operator=(digest&&) noexcept;
  ~digest();

  void add(std::span<const std::byte> bytes);
  /// A number as 8 bytes, little-endian.
  void add(std::uint64_t number);
  /// A text behind its length, so that two texts never read as two others.
  void add(std::string_view text);

  /// 32 hexadecimal digits of all that was added (Python: `xxhash.xxh3_128_hexdigest`).
  [[nodiscard]] std::string text() const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace kvtransfer::detail
