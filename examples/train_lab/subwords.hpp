#pragma once

#include <fmt/format.h>
#include <sentencepiece_trainer.h>

#include <cstdint>
#include <string>
#include <unordered_map>

#include "corpus/document.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::train_lab {

/// Training documents one after the other, made as SentencePiece asks for them: with no input file, no file's name can
/// get into the model.
class document_sentences final : public sentencepiece::SentenceIterator {
 public:
  document_sentences(std::int64_t documents, std::uint64_t seed) : remaining_(documents), throws_(seed) { make(); }

  bool done() const override { return remaining_ <= 0; }
  void Next() override {
    --remaining_;
    make();
  }
  const std::string& value() const override { return document_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  void make() { document_ = corpus::training_document(throws_); }

  std::int64_t remaining_;
  corpus::dice throws_;
  std::string document_;
};

/// Trains a byte-pair vocabulary with byte fallback and single digits that keeps every space and letter as it is.
/// @return the content of a `tokenizer.model`
/// @throws value_error with SentencePiece's own complaint
inline std::string train_subwords(std::int64_t vocab_size, std::int64_t documents, std::uint64_t seed) {
  const std::unordered_map<std::string, std::string> options{{"model_type", "bpe"},
                                                             {"vocab_size", std::to_string(vocab_size)},
                                                             {"byte_fallback", "true"},
                                                             {"split_digits", "true"},
                                                             {"character_coverage", "1.0"},
                                                             {"normalization_rule_name", "identity"},
                                                             {"remove_extra_whitespaces", "false"},
                                                             {"num_threads", "1"},
                                                             {"minloglevel", "2"}};
  document_sentences sentences{documents, corpus::mixed_seed(seed, 0x746f6b656e73)};
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(options, &sentences, &model);
  require<value_error>(status.ok(), "train_subwords", "vocabulary", fmt::format("{} pieces", vocab_size),
                       status.ToString());
  return model;
}

}  // namespace kvtransfer::train_lab
