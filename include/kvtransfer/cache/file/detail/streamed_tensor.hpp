#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/detail/checksums.hpp"
#include "kvtransfer/cache/file/detail/written_tokens.hpp"
#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/safetensors_entry.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer {

/// Whether a cache file carries checksums, which loading verifies: on either side they cost about half a second a
/// gigabyte.
enum class file_checksums : std::uint8_t { none, crc32 };

/// One layer's keys (or values) on their way into a file, range of tokens by range of tokens.
class streamed_tensor {
 public:
  /// @param entry `[batch, kv_heads, seq, head_dim]`
  /// @param data_begin where in the file its `begin` counts from, bytes
  streamed_tensor(std::string name, safetensors_entry entry, std::uint64_t data_begin, file_checksums checksums)
      : name_(std::move(name)),
        entry_(std::move(entry)),
        data_begin_(data_begin),
        checksums_(checksums),
        written_(entry_.shape[2], token_bytes()) {}

  const std::string& name() const { return name_; }

  /// @throws shape_error unless `piece` is what was declared but for seq; value_error unless its tokens are still to be
  /// written
  void require_expected(std::int64_t begin, const at::Tensor& piece, std::string_view where) const {
    require_heads_tensor(piece, where, name_);
    std::vector<std::int64_t> shape = entry_.shape;
    shape[2] = piece.size(2);
    if (piece.sizes() != shape || piece.scalar_type() != scalar_type_of(entry_.dtype)) {
      fail<shape_error>(where, name_,
                        fmt::format("[{}, {}, any number of tokens, {}] {}", shape[0], shape[1], shape[3],
                                    at::toString(scalar_type_of(entry_.dtype))),
                        describe(piece));
    }
    written_.require_free(begin, shape[2], where, name_);
  }

  /// Writes tokens from `begin` on, row by row: one head of one text is a row, and in the file those lie apart.
  /// @throws file_error if the disk refuses
  void write(atomic_file& file, std::int64_t begin, const at::Tensor& piece) {
    const at::Tensor host = piece.detach().cpu().resolve_neg();
    const std::uint64_t row_bytes = static_cast<std::uint64_t>(entry_.shape[2]) * token_bytes();
    std::uint64_t place = data_begin_ + entry_.begin + static_cast<std::uint64_t>(begin) * token_bytes();
    std::vector<std::uint32_t> row_checksums;
    for (std::int64_t batch = 0; batch < host.size(0); ++batch) {
      for (std::int64_t head = 0; head < host.size(1); ++head) {
        const at::Tensor row = host.select(0, batch).select(0, head).contiguous();
        const std::span<const std::byte> bytes(static_cast<const std::byte*>(row.const_data_ptr()), row.nbytes());
        file.write_at(place, bytes);
        if (checksums_ == file_checksums::crc32) {
          row_checksums.push_back(crc32_of(bytes));
        }
        place += row_bytes;
      }
    }
    written_.add(begin, piece.size(2), std::move(row_checksums));
  }

  /// @throws value_error if tokens are missing
  void require_complete(std::string_view where) const {
    if (!written_.complete()) {
      fail<value_error>(where, name_, fmt::format("all {} tokens written", entry_.shape[2]), written_.described());
    }
  }

  /// CRC-32 of the complete tensor.
  std::uint32_t checksum() const { return written_.checksum(); }

 private:
  std::uint64_t token_bytes() const {
    return static_cast<std::uint64_t>(entry_.shape[3]) * describe(entry_.dtype).bytes;
  }

  std::string name_;
  safetensors_entry entry_;
  std::uint64_t data_begin_;
  file_checksums checksums_;
  written_tokens written_;
};

}  // namespace kvtransfer
