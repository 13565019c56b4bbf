#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace kvtransfer::paging {

namespace detail {

/// Tells the kernel how the pages of `bytes` will be used. Advice: where it is not taken, reading works all the same.
inline void advise(std::span<const std::byte> bytes, int advice) {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(bytes.data()) / page * page;
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(bytes.data() + bytes.size());
  if (!bytes.empty()) {
    ::madvise(reinterpret_cast<void*>(begin), end - begin, advice);
  }
}

}  // namespace detail

/// Mapped bytes that are read from end to end: the kernel reads ahead, past their end too.
inline void expect_everything(std::span<const std::byte> bytes) { detail::advise(bytes, MADV_NORMAL); }

/// Mapped bytes of which single pages are read: the kernel fetches those and none of their neighbours, which it
/// otherwise does by the megabyte.
inline void expect_single_pages(std::span<const std::byte> bytes) { detail::advise(bytes, MADV_RANDOM); }

/// Starts to fetch mapped bytes that will be read soon, just these, and does not wait for them.
inline void fetch(std::span<const std::byte> bytes) {
  constexpr std::size_t at_once = std::size_t{128} << 10;  // the kernel drops what goes beyond its readahead window
  while (!bytes.empty()) {
    const std::size_t count = std::min(at_once, bytes.size());
    detail::advise(bytes.first(count), MADV_WILLNEED);
    bytes = bytes.subspan(count);
  }
}

}  // namespace kvtransfer::paging
