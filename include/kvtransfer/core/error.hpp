#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace kvtransfer {

/// Base of everything this library throws; `what()` is one line that names the argument or file, what was expected,
/// what came.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A tensor or a list has another shape, length or dtype than the operation needs.
class shape_error : public error {
 public:
  using error::error;
};

/// A cache's frame (positions, rotary specification, model, layout) does not justify the operation.
class frame_error : public error {
 public:
  using error::error;
};

/// Tensors live on different devices, or no implementation exists for the device.
class device_error : public error {
 public:
  using error::error;
};

/// A file is missing, unreadable, malformed or of an unsupported kind.
class file_error : public error {
 public:
  using error::error;
};

/// A setting or scalar argument lies outside its range.
class value_error : public error {
 public:
  using error::error;
};

/// Throws `Error` in the library's one form: `shift: keys: expected [1, 4], got [2, 4]`.
/// @param where the operation or file that complains
/// @param what the argument or field
template <class Error>
[[noreturn]] void fail(std::string_view where, std::string_view what, std::string_view expected, std::string_view got) {
  throw Error(fmt::format("{}: {}: expected {}, got {}", where, what, expected, got));
}

/// Throws as `fail` does unless `condition` holds. Pass ready text only where making it is cheap.
template <class Error>
void require(bool condition, std::string_view where, std::string_view what, std::string_view expected,
             std::string_view got) {
  if (!condition) [[unlikely]] {
    fail<Error>(where, what, expected, got);
  }
}

}  // namespace kvtransfer
