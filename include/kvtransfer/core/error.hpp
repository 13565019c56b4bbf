#pragma once

#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace kvtransfer {

/// `text` without what ends a line or commands a terminal: control characters and the line separators of Unicode, which
/// text out of a file may hold, are written as in JSON, `\n` or `\u001b`. Any other byte stays.
[[nodiscard]] std::string one_line(std::string_view text);

/// Base of everything this library throws; `what()` is one line that names the argument or file, what was expected,
/// what came. It is one whatever text of a file stands in it.
class error : public std::runtime_error {
 public:
  /// @param text as `one_line` writes it
  explicit error(std::string_view text) : std::runtime_error(one_line(text)) {}
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

/// There is no room for what has to be written: the disk or the quota is full, or a limit on a file's size is reached.
class full_disk_error : public file_error {
 public:
  using file_error::file_error;
};

/// A device or the host has less memory than an operation needs; `what()` says how much is needed and how much is free.
class out_of_memory_error : public error {
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

/// Text that is put together only where an error shows it, as what is asked for when nothing is wrong should cost
/// nothing: `formatted("{} layers", count)`. For the call that it is passed to alone: it refers to its arguments.
template <class... Arguments>
[[nodiscard]] auto formatted(fmt::format_string<const Arguments&...> format, const Arguments&... arguments) {
  return [format, &arguments...] { return fmt::format(format, arguments...); };
}

/// Throws as `fail` does unless `condition` holds. What, expected and got are texts, or functions that make them.
template <class Error, class What, class Expected, class Got>
void require(bool condition, std::string_view where, const What& what, const Expected& expected, const Got& got) {
  if (!condition) [[unlikely]] {
    const auto text = [](const auto& given) {
      if constexpr (std::invocable<decltype(given)>) {
        return std::string(given());
      } else {
        return std::string_view(given);
      }
    };
    fail<Error>(where, text(what), text(expected), text(got));
  }
}

/// Throws unless `found` is `expected`. @param text what was expected, with `{}` for the number
template <class Error, std::integral Found, std::integral Expected>
void require_count(Found found, Expected expected, std::string_view where, std::string_view what,
                   std::string_view text = "{}") {
  if (!std::cmp_equal(found, expected)) [[unlikely]] {
    fail<Error>(where, what, fmt::format(fmt::runtime(text), expected), fmt::format("{}", found));
  }
}

/// Throws unless there is an element `index` of `count`. @param what as "layer"
template <class Error, std::integral Count>
void require_index(std::int64_t index, Count count, std::string_view where, std::string_view what) {
  if (index < 0 || std::cmp_greater_equal(index, count)) [[unlikely]] {
    fail<Error>(where, what, fmt::format("0 <= {} < {}", what, count), fmt::format("{}", index));
  }
}

/// Throws unless [begin, end) is a range of `size` elements.
template <class Error>
void require_range(std::int64_t begin, std::int64_t end, std::int64_t size, std::string_view where,
                   std::string_view what) {
  if (begin < 0 || begin > end || end > size) [[unlikely]] {
    fail<Error>(where, what, fmt::format("0 <= begin <= end <= {}", size), fmt::format("[{}, {})", begin, end));
  }
}

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/core/detail/error.ipp"  // IWYU pragma: export
#endif
