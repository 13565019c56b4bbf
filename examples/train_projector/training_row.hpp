#pragma once

#include <cstdint>
#include <vector>

namespace kvtransfer::train_projector {

using token_row = std::vector<std::int64_t>;

/// One example in tokens.
struct training_row {
  token_row source;           ///< what the source reads
  token_row partners;         ///< for each of the receiver's tokens the source's that stands for it; empty: one for one
  token_row receiver;         ///< what the receiver reads in its place
  token_row target;           ///< what the receiver reads behind it: question and response, the question not empty
  std::int64_t response = 0;  ///< how many of the target's last tokens are the response
  token_row text = {};        ///< the source's text in the receiver's tokens, as long as `receiver`
};

/// One list of each row: `column(rows, &training_row::target)`.
inline std::vector<token_row> column(const std::vector<training_row>& rows, token_row training_row::* member) {
  std::vector<token_row> lists;
  for (const training_row& row : rows) {
    lists.push_back(row.*member);
  }
  return lists;
}

/// Response tokens of all rows.
inline std::int64_t response_tokens(const std::vector<training_row>& rows) {
  std::int64_t count = 0;
  for (const training_row& row : rows) {
    count += row.response;
  }
  return count;
}

}  // namespace kvtransfer::train_projector
