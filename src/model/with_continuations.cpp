#include "model/with_continuations.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace kvtransfer::detail {

namespace {

/// The positions of a sequence's tokens, without the padding in front.
position_row placed_tokens(const plan& input, std::size_t b) {
  const position_row& row = input.positions.row(0, static_cast<std::int64_t>(b), 0);
  return row.slice(row.size() - static_cast<std::int64_t>(input.token_ids[b].size()), row.size());
}

}  // namespace

plan with_continuations(plan input, const std::vector<std::vector<std::int64_t>>& continuations) {
  std::vector<position_row> rows;
  std::int64_t longest = 0;
  for (std::size_t b = 0; b < continuations.size(); ++b) {
    const std::int64_t next = input.positions.row(0, static_cast<std::int64_t>(b), 0).last_position().value_or(-1) + 1;
    position_row row = placed_tokens(input, b);
    row.append(position_row::consecutive(next, static_cast<std::int64_t>(continuations[b].size()) - 1));
    longest = std::max(longest, row.size());
    rows.push_back(std::move(row));
    input.token_ids[b].insert(input.token_ids[b].end(), continuations[b].begin(), continuations[b].end() - 1);
  }
  for (position_row& row : rows) {
    row = padded_left(row, longest);
  }
  const auto batch = static_cast<std::int64_t>(rows.size());
  input.positions = position_map(1, batch, 1, std::move(rows));
  return input;
}

}  // namespace kvtransfer::detail
