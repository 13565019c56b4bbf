#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/detail/checksums.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// Which tokens of a `[batch, kv_heads, seq, head_dim]` tensor have been written, with checksums that grow together as
/// the gaps between them close: ranges may come in any order, and no byte is read twice.
class written_tokens {
 public:
  /// @param seq tokens in all
  /// @param token_bytes bytes of one token in one row (head_dim elements)
  written_tokens(std::int64_t seq, std::uint64_t token_bytes) : seq_(seq), token_bytes_(token_bytes) {}

  /// @throws value_error unless [begin, begin + count) lies within the tensor and none of it was written before
  void require_free(std::int64_t begin, std::int64_t count, std::string_view where, std::string_view what) const {
    if (begin < 0 || count < 0 || begin > seq_ - count) {
      fail<value_error>(where, what, fmt::format("tokens within [0, {})", seq_),
                        fmt::format("{} tokens from {} on", count, begin));
    }
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

  bool complete() const {
    return seq_ == 0 || (ranges_.size() == 1 && ranges_.begin()->second.end - ranges_.begin()->first == seq_);
  }

  /// What is there, as errors show it: `[0, 5), [9, 12)`.
  std::string described() const {
    std::string text;
    for (const auto& [begin, written] : ranges_) {
      text += fmt::format("{}[{}, {})", text.empty() ? "" : ", ", begin, written.end);
    }
    return text.empty() ? "none" : text;
  }

  /// CRC-32 of the whole tensor, once it is complete and had checksums all along.
  std::uint32_t checksum() const {
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

}  // namespace kvtransfer
