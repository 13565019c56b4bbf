#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "examples.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/tokenizers/any_tokenizer.hpp"
#include "kvtransfer/model/tokenizers/text_codec.hpp"
#include "kvtransfer/project/paired_text.hpp"
#include "kvtransfer/project/projector_models.hpp"
#include "rows.hpp"
#include "settings.hpp"

namespace kvtransfer::train_projector {

/// Both models' tokenizers: makes rows of examples.
class text_pair {
 public:
  /// @param same whether both are one tokenizer, so that nothing is to be aligned
  text_pair(any_tokenizer source, any_tokenizer receiver, bool same, const recipe& plan)
      : source_{std::move(source)},
        receiver_{std::move(receiver)},
        same_(same),
        reads_text_(plan.receiver_reads == "text"),
        pairing_(*token_pairing_named(plan.tokens)) {}

  /// Response tokens are those that the receiver writes after the question: a space parts them from it, and belongs to
  /// the first.
  /// @throws value_error for a response without tokens
  [[nodiscard]] training_row row_of(const example& given) const {
    training_row row;
    const std::vector<std::int64_t> text = encode_whole(receiver_.tokens, given.source);
    paired_text paired = same_ ? same_text(text) : pair_text(text, receiver_, source_, pairing_);
    row.source = std::move(paired.token_ids);
    row.partners = std::move(paired.slots);
    row.receiver = reads_text_ ? text : without_text(text);
    row.text = text;
    const std::string parted = given.question.empty() ? given.response : " " + given.response;
    const std::vector<std::int64_t> response = receiver_.encode(parted, false);
    row.target = given.question.empty() ? std::vector<std::int64_t>{} : receiver_.tokens.encode(given.question);
    row.response = static_cast<std::int64_t>(response.size()) - (row.target.empty() ? 1 : 0);
    row.target.insert(row.target.end(), response.begin(), response.end());
    require<value_error>(row.response > 0 && text.size() > 1, "train_projector", "example",
                         "a source and a response of some tokens", formatted("\"{}\"", given.response));
    return row;
  }

  /// The rows as `models` read them.
  [[nodiscard]] std::vector<training_row> rows_of(const std::vector<example>& given, const model_pair& models) const {
    std::vector<training_row> rows;
    for (const example& each : given) {
      rows.push_back(row_of(each));
    }
    return models.between.applied(models.source, std::move(rows), opening(), filler_token(receiver_));
  }

  /// Rows in which the receiver reads the source's text itself, whatever it is to read otherwise.
  [[nodiscard]] std::vector<training_row> rows_by_text(const std::vector<example>& given) const {
    std::vector<training_row> rows;
    for (const example& each : given) {
      rows.push_back(row_of(each));
      rows.back().receiver = encode_whole(receiver_.tokens, each.source);
    }
    return rows;
  }

  /// The text that the receiver gave.
  [[nodiscard]] std::string decode(const token_row& ids) const { return receiver_.tokens.decode(ids); }
  /// What stands in front of every text that the receiver reads.
  [[nodiscard]] const token_row& opening() const { return receiver_.tokens.boundaries().before; }

 private:
  /// As many tokens of no text, behind the same opening.
  [[nodiscard]] token_row without_text(const token_row& text) const {
    token_row filler(text.size(), filler_token(receiver_));
    std::copy(opening().begin(), opening().end(), filler.begin());
    return filler;
  }

  text_codec source_;
  text_codec receiver_;
  bool same_;
  bool reads_text_;
  token_pairing pairing_;
};

}  // namespace kvtransfer::train_projector
