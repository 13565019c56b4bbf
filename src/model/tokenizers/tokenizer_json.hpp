#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <vector>

#include "kvtransfer/core/json_reader.hpp"
#include "model/tokenizers/byte_pair_tokenizer.hpp"

namespace kvtransfer::detail {

/// What the whole of a tokenizer.json says. BOS and EOS are named elsewhere: of the boundaries only `before` and
/// `behind` are filled in.
/// @param content untrusted
/// @param file named in errors
/// @throws file_error
/// Source: the format that tokenizers 0.23 writes.
byte_pair_parts read_tokenizer_json(std::string_view content, std::string_view file);

// One for each part of the file.

std::vector<normalizer> read_normalizers(const json_reader& node);
std::vector<pre_tokenizer> read_pre_tokenizers(const json_reader& node);
byte_pair_model read_byte_pair_model(const json_reader& node);
std::vector<decode_step> read_decoders(const json_reader& node);
/// Adds the tokens of the list; their ids must be those that their order gives.
void read_added_tokens(const json_reader& node, byte_pair_parts& parts);
/// Fills in `before` and `behind`.
void read_post_processor(const json_reader& node, byte_pair_parts& parts);

/// The steps of a Sequence, which lists them under `key`. @param read what gives those of one entry
template <class Read>
auto read_sequence(const json_reader& node, std::string_view key, Read&& read) {
  node.allow_only({"type", key});
  decltype(read(node)) all;
  node.member(key).for_each_item([&](const json_reader& step) {
    auto more = read(step);
    std::move(more.begin(), more.end(), std::back_inserter(all));
  });
  return all;
}

/// A pattern as Split and Replace write it: {"String": …} or {"Regex": …}.
text_pattern read_pattern(const json_reader& node);
/// One character.
char32_t read_character(const json_reader& node);

}  // namespace kvtransfer::detail
