#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/detail/checksums.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/mapped_file.hpp"
#include "kvtransfer/tensor/operations.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer::detail::paging {

/// Tells the kernel how the pages of `bytes` will be used. Advice: where it is not taken, reading works all the same.
inline void advise(std::span<const std::byte> bytes, int advice) {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(bytes.data()) / page * page;
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(bytes.data() + bytes.size());
  if (!bytes.empty()) {
    ::madvise(reinterpret_cast<void*>(begin), end - begin, advice);
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

/// The tensors of a mapped file whose contents are checked, by names that are known to be there. Cheap to copy; tensors
/// keep the mapping alive, and writing to one changes this process's copy, never the file.
class mapped_tensors {
 public:
  mapped_tensors(std::shared_ptr<const mapped_file> mapping, safetensors_header header,
                 std::optional<checksum_list> checksums)
      : mapping_(std::move(mapping)),
        index_(std::make_shared<const index>(index{std::move(header), std::move(checksums)})) {}

  const std::filesystem::path& path() const { return mapping_->path(); }
  bool has_checksums() const { return index_->checksums.has_value(); }

  const safetensors_entry& entry(const std::string& name) const { return index_->header.tensors.find(name)->second; }

  std::span<std::byte> all_bytes() const { return mapping_->bytes(); }
  std::span<std::byte> bytes(const std::string& name) const {
    return mapping_->bytes().subspan(index_->header.data_begin + entry(name).begin,
                                     entry(name).end - entry(name).begin);
  }

  /// A tensor over its mapped bytes; a copy only where a foreign writer put it off its natural alignment.
  at::Tensor tensor(const std::string& name) const {
    const std::span<std::byte> data = bytes(name);
    const auto options = at::TensorOptions().dtype(scalar_type_of(entry(name).dtype));
    if (reinterpret_cast<std::uintptr_t>(data.data()) % describe(entry(name).dtype).bytes != 0) {
      at::Tensor copy = new_tensor(entry(name).shape, options);
      std::memcpy(copy.data_ptr(), data.data(), data.size());
      return copy;
    }
    return at::from_blob(data.data(), entry(name).shape, [kept = mapping_](void*) {}, options);
  }

  /// Starts to fetch the tokens [begin, end) of every row of `[batch, kv_heads, seq, head_dim]`, and no others.
  void fetch_tokens(const std::string& name, std::int64_t begin, std::int64_t end) const {
    const std::vector<std::int64_t>& shape = entry(name).shape;
    const std::span<std::byte> all = bytes(name);
    paging::expect_single_pages(all);
    if (end - begin == shape[2]) {
      return paging::fetch(all);
    }
    const std::size_t token = static_cast<std::size_t>(shape[3]) * describe(entry(name).dtype).bytes;
    const std::size_t row = static_cast<std::size_t>(shape[2]) * token;
    for (std::size_t start = 0; start < all.size(); start += row) {
      paging::fetch(
          all.subspan(start + static_cast<std::size_t>(begin) * token, static_cast<std::size_t>(end - begin) * token));
    }
  }

  /// Compares a tensor's bytes with its checksum, where the file has any. @throws file_error where they differ
  void verify(const std::string& name) const {
    if (has_checksums()) {
      require_checksum(*index_->checksums, name, bytes(name), path().string());
    }
  }

  /// @throws value_error where the file has no checksums
  void require_checksums(std::string_view where) const {
    require<value_error>(has_checksums(), where, path().string(), "a file with checksums", "one without");
  }

 private:
  struct index {
    safetensors_header header;
    std::optional<checksum_list> checksums;
  };

  std::shared_ptr<const mapped_file> mapping_;
  std::shared_ptr<const index> index_;
};

}  // namespace kvtransfer::detail
