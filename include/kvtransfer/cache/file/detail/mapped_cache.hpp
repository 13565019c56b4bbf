#pragma once

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/detail/storage_memory.hpp"
#include "kvtransfer/cache/file/detail/checksums.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/mapped_file.hpp"
#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/tensor/safetensors.hpp"

namespace kvtransfer::detail::paging {

/// Tells the kernel how the pages of `bytes` will be used. Advice: where it is not taken, reading works all the same.
inline void advise(std::span<const std::byte> bytes, int advice) {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t into_page = reinterpret_cast<std::uintptr_t>(bytes.data()) % page;
  if (!bytes.empty()) {
    ::madvise(const_cast<std::byte*>(bytes.data() - into_page), into_page + bytes.size(), advice);
  }
}

/// Mapped bytes that are read from end to end: the kernel reads ahead, past their end too.
inline void expect_everything(std::span<const std::byte> bytes) { advise(bytes, MADV_NORMAL); }

/// Mapped bytes of which single pages are read: the kernel fetches those and none of their neighbours, which it
/// otherwise does by the megabyte.
inline void expect_single_pages(std::span<const std::byte> bytes) { advise(bytes, MADV_RANDOM); }

/// Starts to fetch mapped bytes that will be read soon, just these, and does not wait for them.
inline void fetch(std::span<const std::byte> bytes) {
  constexpr std::size_t at_once = std::size_t{128} << 10;  // the kernel drops what goes beyond its readahead window
  while (!bytes.empty()) {
    const std::size_t count = std::min(at_once, bytes.size());
    advise(bytes.first(count), MADV_WILLNEED);
    bytes = bytes.subspan(count);
  }
}

}  // namespace kvtransfer::detail::paging

namespace kvtransfer::detail {

/// A mapped cache file whose contents are checked: what there is to know of both kinds. Cheap to copy; tensors keep the
/// mapping alive, and writing to one changes this process's copy, never the file.
/// @tparam Contents `cache_contents`, or what adds to them
template <class Contents>
class mapped_cache {
 public:
  /// As given to `open`.
  [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }
  /// How many layers there are.
  [[nodiscard]] std::int64_t layers() const { return contents_->stored.layers(); }
  /// Whether `load` and `verify` can tell a damaged file.
  [[nodiscard]] bool has_checksums() const { return contents_->checksums.has_value(); }

  /// Compares every layer's bytes with its checksums. @throws file_error where one differs; value_error where the file
  /// has none
  void verify() const {
    require<value_error>(has_checksums(), "verify", path().string(), "a file with checksums", "one without");
    for (std::int64_t i = 0; i < layers(); ++i) {
      verify(i);
    }
  }

 protected:
  /// @param read what reads the contents out of all bytes of a file with that name
  mapped_cache(const std::filesystem::path& path, Contents (*read)(std::span<const std::byte>, std::string_view))
      : mapped_cache(mapped_file::open(path), read) {}

  [[nodiscard]] const safetensors_file& file() const { return file_; }
  [[nodiscard]] const Contents& contents() const { return *contents_; }

  /// @throws frame_error where keys were moved in this process's copy of the file, which no longer stand as it says;
  /// file_error where somebody has written to the file since it was opened
  void require_unmoved() const {
    const std::span<const std::byte> bytes = file_.bytes();
    const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
    mapped_file::require_unchanged_at(bytes.data());
    require_unchanged(
        known_, [&] { return std::vector<memory_range>{{begin, begin + bytes.size()}}; }, path().string());
  }

  /// Compares the bytes of a layer's tensors with their checksums, where the file has any. @throws file_error where
  /// they differ
  void verify(std::int64_t layer) const {
    const std::string prefix = fmt::format("layers.{}.", layer);
    const auto& tensors = file_.header().tensors;
    for (auto tensor = tensors.lower_bound(prefix); tensor != tensors.end() && tensor->first.starts_with(prefix);
         ++tensor) {
      if (has_checksums()) {
        require_checksum(*contents_->checksums, tensor->first, file_.bytes(tensor->first), path().string());
      }
    }
  }

  /// Starts to fetch the tokens [begin, end) of every row of `[batch, kv_heads, seq, ...]`, and no others.
  void fetch_tokens(std::string_view name, std::int64_t begin, std::int64_t end) const {
    const safetensors_entry& entry = file_.entry(name);
    const std::span<std::byte> all = file_.bytes(name);
    paging::expect_single_pages(all);
    if (end - begin == entry.shape[2]) {
      return paging::fetch(all);
    }
    const std::size_t token = static_cast<std::size_t>(entry.shape[3]) * describe(entry.dtype).bytes;
    const std::size_t row = static_cast<std::size_t>(entry.shape[2]) * token;
    for (std::size_t start = 0; start < all.size(); start += row) {
      paging::fetch(
          all.subspan(start + static_cast<std::size_t>(begin) * token, static_cast<std::size_t>(end - begin) * token));
    }
  }

 private:
  mapped_cache(const std::shared_ptr<const mapped_file>& mapping,
               Contents (*read)(std::span<const std::byte>, std::string_view))
      : mapped_cache(mapping, read(mapping->bytes(), mapping->path().string())) {}

  mapped_cache(std::shared_ptr<const mapped_file> mapping, Contents contents)
      : file_(std::move(mapping), std::move(contents.header)),
        contents_(std::make_shared<const Contents>(std::move(contents))) {}

  safetensors_file file_;
  std::shared_ptr<const Contents> contents_;
  std::uint64_t known_ = memory_changes::instance().last();  // the last change of memory when the file was opened
};

}  // namespace kvtransfer::detail
