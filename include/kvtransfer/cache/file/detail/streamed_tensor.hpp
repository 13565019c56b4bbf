#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/cached_layer.hpp"
#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer::detail {

/// Which tokens of a `[batch, kv_heads, seq, head_dim]` tensor have been written, with checksums that grow together as
/// the gaps between them close: ranges may come in any order, and no byte is read twice.
class written_tokens {
 public:
  /// @param seq tokens in all
  /// @param token_bytes bytes of one token in one row (head_dim elements)
  written_tokens(std::int64_t seq, std::uint64_t token_bytes) : seq_(seq), token_bytes_(token_bytes) {}

  /// @throws value_error unless [begin, begin + count) lies within the tensor and none of it was written before
  void require_free(std::int64_t begin, std::int64_t count, std::string_view where, std::string_view what) const;

  /// Takes note of tokens that are free.
  /// @param row_checksums CRC-32 of their bytes in each of the batch * kv_heads rows, or none at all
  void add(std::int64_t begin, std::int64_t count, std::vector<std::uint32_t> row_checksums);

  [[nodiscard]] bool complete() const;

  /// What is there, as errors show it: `[0, 5), [9, 12)`.
  [[nodiscard]] std::string described() const;

  /// CRC-32 of the whole tensor, once it is complete and had checksums all along.
  [[nodiscard]] std::uint32_t checksum() const;

 private:
  struct range {
    std::int64_t end;
    std::vector<std::uint32_t> row_checksums;
  };
  using ranges = std::map<std::int64_t, range>;

  /// Makes a range and the one that begins at its end one.
  ranges::iterator join(ranges::iterator first);

  std::int64_t seq_;
  std::uint64_t token_bytes_;
  ranges ranges_;
};

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

  [[nodiscard]] const std::string& name() const { return name_; }

  /// @throws shape_error unless `piece` is what was declared but for seq; value_error unless its tokens are still to be
  /// written
  void require_expected(std::int64_t begin, const at::Tensor& piece, std::string_view where) const;

  /// Writes tokens from `begin` on, row by row: one head of one text is a row, and in the file those lie apart.
  /// @throws file_error if the disk refuses
  void write(atomic_file& file, std::int64_t begin, const at::Tensor& piece);

  /// @throws value_error if tokens are missing
  void require_complete(std::string_view where) const;

  /// CRC-32 of the complete tensor.
  [[nodiscard]] std::uint32_t checksum() const { return written_.checksum(); }

 private:
  [[nodiscard]] std::uint64_t token_bytes() const;

  std::string name_;
  safetensors_entry entry_;
  std::uint64_t data_begin_;
  file_checksums checksums_;
  written_tokens written_;
};

}  // namespace kvtransfer::detail

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/file/detail/streamed_tensor.ipp"  // IWYU pragma: export
#endif
