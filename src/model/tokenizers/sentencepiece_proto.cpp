#include "model/tokenizers/sentencepiece_proto.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kvtransfer::detail {

namespace {

/// Fields of a protocol buffer's message, written one behind another.
class message {
 public:
  void integer(std::uint32_t field, std::uint64_t value) {
    number(field << 3);
    number(value);
  }
  void bytes(std::uint32_t field, std::string_view value) {
    number((field << 3) | 2);
    number(value.size());
    content_ += value;
  }
  void real(std::uint32_t field, float value) {
    number((field << 3) | 5);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) {
      content_ += static_cast<char>(bits >> shift & 0xFF);
    }
  }
  [[nodiscard]] const std::string& content() const { return content_; }

 private:
  void number(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
      content_ += static_cast<char>((value & 0x7F) | 0x80);
    }
    content_ += static_cast<char>(value);
  }

  std::string content_;
};

// Field numbers.
constexpr std::uint32_t model_pieces = 1, model_trainer_spec = 2, model_normalizer_spec = 3;
constexpr std::uint32_t piece_text = 1, piece_score = 2, piece_type = 3;
constexpr std::uint32_t trainer_model_type = 3, trainer_byte_fallback = 35;
constexpr std::uint32_t normalizer_name = 1, normalizer_dummy_prefix = 3, normalizer_extra_spaces = 4,
                        normalizer_escape_spaces = 5;
constexpr std::uint64_t byte_pair_encoding = 2;

/// A user-defined piece as SentencePiece has it: llama.cpp's conversion writes Gemma's runs of spaces as they stand in
/// a text. Taken over as it is where another piece has that spelling: SentencePiece, which reads ▁ for a space, never
/// finds it then.
std::string user_defined_piece(const std::string& token, const std::unordered_set<std::string_view>& tokens) {
  constexpr std::string_view space_mark = "\xE2\x96\x81";  // ▁
  std::string piece;
  for (const char byte : token) {
    piece += byte == ' ' ? space_mark : std::string_view(&byte, 1);
  }
  return tokens.contains(piece) ? token : piece;
}

}  // namespace

std::string sentencepiece_model_of(const gguf_vocabulary& vocabulary,
                                   const std::unordered_set<std::size_t>& found_before) {
  constexpr std::int32_t user_defined_type = 4, byte_type = 6;
  const std::unordered_set<std::string_view> tokens(vocabulary.tokens.begin(), vocabulary.tokens.end());
  message model;
  bool has_bytes = false;
  for (std::size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    message piece;
    const bool in_text = vocabulary.token_types[i] == user_defined_type && !found_before.contains(i);
    piece.bytes(piece_text, in_text ? user_defined_piece(vocabulary.tokens[i], tokens) : vocabulary.tokens[i]);
    piece.real(piece_score, vocabulary.scores[i]);
    piece.integer(piece_type, static_cast<std::uint64_t>(vocabulary.token_types[i]));
    has_bytes = has_bytes || vocabulary.token_types[i] == byte_type;
    model.bytes(model_pieces, piece.content());
  }
  message trainer;
  trainer.integer(trainer_model_type, byte_pair_encoding);
  trainer.integer(trainer_byte_fallback, has_bytes ? 1 : 0);
  model.bytes(model_trainer_spec, trainer.content());
  message normalizer;
  normalizer.bytes(normalizer_name, "identity");
  normalizer.integer(normalizer_dummy_prefix, 1);
  normalizer.integer(normalizer_extra_spaces, 0);
  normalizer.integer(normalizer_escape_spaces, 1);
  model.bytes(model_normalizer_spec, normalizer.content());
  return model.content();
}

std::string_view without_dummy_prefix() {
  static const std::string bytes = [] {
    message normalizer;
    normalizer.integer(normalizer_dummy_prefix, 0);
    message model;
    model.bytes(model_normalizer_spec, normalizer.content());
    return model.content();
  }();
  return bytes;
}

}  // namespace kvtransfer::detail
