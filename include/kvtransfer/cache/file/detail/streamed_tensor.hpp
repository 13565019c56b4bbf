#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/cached_layer.hpp"
#include "kvtransfer/cache/file/detail/checksums.hpp"
#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer::detail {

/// Which tokens of a `[batch, kv_heads, seq, head_dim]` tensor have been written, with checksums that grow together as
/// the gaps between them close: ranges may come in any order, and no byte is read twice.
class written_tokens {
 public:
  /// @param seq tokens in all
  /// @param token_bytes bytes of one token in one row (head_dim elements)
  written_tokens(std::int64_t seq, std::uint64_t token_bytes) : seq_(seq), token_bytes_(token_bytes) {}

  /// @throws value_error unless [begin, begin + count) lies within the tensor and none of it was written before
  void require_free(std::int64_t begin, std::int64_t count, std::string_view where, std::string_view what) const {
    require<value_error>(begin >= 0 && count >= 0 && begin <= seq_ - count, where, what,
                         formatted("tokens within [0, {})", seq_), formatted("{} tokens from {} on", count, begin));
    const auto next = ranges_.lower_bound(begin + count);
    if (count > 0 && next != ranges_.begin() && std::prev(next)->second.end > begin) {
      fail<value_error>(where, what, "tokens that were not written before",
                        fmt::format("[{}, {}), when [{}, {}) was", begin, begin + count, std::prev(next)->first,
                                    std::prev(next)->second.end));
    }
  }

  /// Takes note of tokens that are free.
  /// @param row_checksums CRC-32 of their bytes in each of the batch * kv_heads rows, or none at all
  void add(std::int64_t begin, std::int64_t count, std::vector<std::uint32_t> row_checksums) {
    if (count == 0) {
      return;
    }
    auto here = ranges_.emplace(begin, range{begin + count, std::move(row_checksums)}).first;
    if (here != ranges_.begin() && std::prev(here)->second.end == begin) {
      here = join(std::prev(here));
    }
    if (std::next(here) != ranges_.end() && here->second.end == std::next(here)->first) {
      join(here);
    }
  }

  [[nodiscard]] bool complete() const {
    return seq_ == 0 || (ranges_.size() == 1 && ranges_.begin()->second.end - ranges_.begin()->first == seq_);
  }

  /// What is there, as errors show it: `[0, 5), [9, 12)`.
  [[nodiscard]] std::string described() const {
    std::string text;
    for (const auto& [begin, written] : ranges_) {
      text += fmt::format("{}[{}, {})", text.empty() ? "" : ", ", begin, written.end);
    }
    return text.empty() ? "none" : text;
  }

  /// CRC-32 of the whole tensor, once it is complete and had checksums all along.
  [[nodiscard]] std::uint32_t checksum() const {
    std::uint32_t whole = 0;
    for (std::size_t row = 0; seq_ > 0 && row < ranges_.begin()->second.row_checksums.size(); ++row) {
      whole = crc32_joined(whole, ranges_.begin()->second.row_checksums[row],
                           static_cast<std::uint64_t>(seq_) * token_bytes_);
    }
    return whole;
  }

 private:
  struct range {
    std::int64_t end;
    std::vector<std::uint32_t> row_checksums;
  };
  using ranges = std::map<std::int64_t, range>;

  /// Makes a range and the one that begins at its end one.
  ranges::iterator join(ranges::iterator first) {
    const auto second = std::next(first);
    const auto second_bytes = static_cast<std::uint64_t>(second->second.end - second->first) * token_bytes_;
    for (std::size_t row = 0; row < first->second.row_checksums.size(); ++row) {
      std::uint32_t& joined = first->second.row_checksums[row];
      joined = crc32_joined(joined, second->second.row_checksums[row], second_bytes);
    }
    first->second.end = second->second.end;
    ranges_.erase(second);
    return first;
  }

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
  void require_expected(std::int64_t begin, const at::Tensor& piece, std::string_view where) const {
    require_heads_tensor(piece, where, name_);
    std::vector<std::int64_t> shape = entry_.shape;
    shape[2] = piece.size(2);
    require<shape_error>(piece.sizes() == shape && piece.scalar_type() == scalar_type_of(entry_.dtype), where, name_,
                         formatted("[{}, {}, any number of tokens, {}] {}", shape[0], shape[1], shape[3],
                                   at::toString(scalar_type_of(entry_.dtype))),
                         [&] { return describe(piece); });
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
    require<value_error>(written_.complete(), where, name_, formatted("all {} tokens written", entry_.shape[2]),
                         [&] { return written_.described(); });
  }

  /// CRC-32 of the complete tensor.
  [[nodiscard]] std::uint32_t checksum() const { return written_.checksum(); }

 private:
  [[nodiscard]] std::uint64_t token_bytes() const {
    return static_cast<std::uint64_t>(entry_.shape[3]) * describe(entry_.dtype).bytes;
  }

  std::string name_;
  safetensors_entry entry_;
  std::uint64_t data_begin_;
  file_checksums checksums_;
  written_tokens written_;
};

}  // namespace kvtransfer::detail
