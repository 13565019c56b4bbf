#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "corpus/document.hpp"
#include "kvtransfer/model/tokenizers/any_tokenizer.hpp"
#include "settings.hpp"

namespace kvtransfer::train_lab {

/// Fills one row with whole documents, each between a BOS and an EOS, until the row is full and cuts the last one
/// short.
///
/// The row depends on the three numbers alone: a run that is resumed, or has more threads, reads the same text.
/// @param row [sequence_length + 1], tokens
inline void fill_row(const any_tokenizer& subwords, std::uint64_t seed, std::int64_t step, std::int64_t index,
                     std::span<std::int64_t> row) {
  corpus::dice throws{corpus::mixed_seed(seed, static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(index))};
  std::size_t filled = 0;
  const auto put = [&](std::int64_t token) {
    if (filled < row.size()) {
      row[filled++] = token;
    }
  };
  while (filled < row.size()) {
    put(bos_id);
    for (const std::int64_t token : subwords.encode(corpus::training_document(throws))) {
      put(token);
    }
    put(eos_id);
  }
}

}  // namespace kvtransfer::train_lab
