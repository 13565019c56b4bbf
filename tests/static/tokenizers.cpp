// Which types are tokenizers, and which only look like one.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/model/tokenizers/any_tokenizer.hpp"
#include "kvtransfer/model/tokenizers/concepts.hpp"

namespace kvtransfer::test::lookalikes {

struct own_tokenizer {
  std::vector<std::int64_t> encode(std::string_view text) const;
  std::vector<std::int64_t> encode_markup(std::string_view text) const;
  std::vector<std::int64_t> encode_segments(std::span<const text_segment> segments, text_begin begin) const;
  std::string decode(std::span<const std::int64_t> ids) const;
  text_stream stream() const;
  std::string token_text(std::int64_t id) const;
  std::int64_t vocab_size() const;
  const boundary_tokens& boundaries() const;
  const std::vector<std::filesystem::path>& files() const;
};

/// Narrower ids would be cut without a word.
struct tokenizer_of_narrow_ids : own_tokenizer {
  std::vector<std::int32_t> encode(std::string_view text) const;
};

struct tokenizer_that_changes : own_tokenizer {
  std::vector<std::int64_t> encode_markup(std::string_view text);
};

struct tokenizer_that_moves_only : own_tokenizer {
  tokenizer_that_moves_only(const tokenizer_that_moves_only&) = delete;
};

static_assert(Tokenizer<own_tokenizer>);
static_assert(Tokenizer<any_tokenizer>);
static_assert(!Tokenizer<tokenizer_of_narrow_ids>);
static_assert(!Tokenizer<tokenizer_that_changes>);
static_assert(!Tokenizer<tokenizer_that_moves_only>);
static_assert(!Tokenizer<text_stream>);

}  // namespace kvtransfer::test::lookalikes
