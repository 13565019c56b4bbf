#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/cached_layer.hpp"
#include "kvtransfer/cache/file/detail/checksums.hpp"
#include "kvtransfer/cache/file/detail/streamed_tensor.hpp"
#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE void written_tokens::require_free(std::int64_t begin, std::int64_t count, std::string_view where,
                                                    std::string_view what) const {
  require<value_error>(begin >= 0 && count >= 0 && begin <= seq_ - count, where, what,
                       formatted("tokens within [0, {})", seq_), formatted("{} tokens from {} on", count, begin));
  const auto next = ranges_.lower_bound(begin + count);
  if (count > 0 && next != ranges_.begin() && std::prev(next)->second.end > begin) {
    fail<value_error>(where, what, "tokens that were not written before",
                      fmt::format("[{}, {}), when [{}, {}) was", begin, begin + count, std::prev(next)->first,
                                  std::prev(next)->second.end));
  }
}

KVTRANSFER_INLINE void written_tokens::add(std::int64_t begin, std::int64_t count,
                                           std::vector<std::uint32_t> row_checksums) {
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

KVTRANSFER_INLINE bool written_tokens::complete() const {
  return seq_ == 0 || (ranges_.size() == 1 && ranges_.begin()->second.end - ranges_.begin()->first == seq_);
}

KVTRANSFER_INLINE std::string written_tokens::described() const {
  std::string text;
  for (const auto& [begin, written] : ranges_) {
    text += fmt::format("{}[{}, {})", text.empty() ? "" : ", ", begin, written.end);
  }
  return text.empty() ? "none" : text;
}

KVTRANSFER_INLINE std::uint32_t written_tokens::checksum() const {
  std::uint32_t whole = 0;
  for (std::size_t row = 0; seq_ > 0 && row < ranges_.begin()->second.row_checksums.size(); ++row) {
    whole = crc32_joined(whole, ranges_.begin()->second.row_checksums[row],
                         static_cast<std::uint64_t>(seq_) * token_bytes_);
  }
  return whole;
}

KVTRANSFER_INLINE written_tokens::ranges::iterator written_tokens::join(ranges::iterator first) {
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

KVTRANSFER_INLINE void streamed_tensor::require_expected(std::int64_t begin, const at::Tensor& piece,
                                                         std::string_view where) const {
  require_heads_tensor(piece, where, name_);
  std::vector<std::int64_t> shape = entry_.shape;
  shape[2] = piece.size(2);
  require<shape_error>(piece.sizes() == shape && piece.scalar_type() == scalar_type_of(entry_.dtype), where, name_,
                       formatted("[{}, {}, any number of tokens, {}] {}", shape[0], shape[1], shape[3],
                                 at::toString(scalar_type_of(entry_.dtype))),
                       [&] { return describe(piece); });
  written_.require_free(begin, shape[2], where, name_);
}

KVTRANSFER_INLINE void streamed_tensor::write(atomic_file& file, std::int64_t begin, const at::Tensor& piece) {
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

KVTRANSFER_INLINE void streamed_tensor::require_complete(std::string_view where) const {
  require<value_error>(written_.complete(), where, name_, formatted("all {} tokens written", entry_.shape[2]),
                       [&] { return written_.described(); });
}

KVTRANSFER_INLINE std::uint64_t streamed_tensor::token_bytes() const {
  return static_cast<std::uint64_t>(entry_.shape[3]) * describe(entry_.dtype).bytes;
}

}  // namespace kvtransfer::detail
