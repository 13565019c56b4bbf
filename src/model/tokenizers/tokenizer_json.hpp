#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/tokenizers/byte_pair_tokenizer.hpp"
#include "model/tokenizers/json_node.hpp"

namespace kvtransfer::detail {

/// What the whole of a tokenizer.json says. BOS and EOS are named elsewhere: of the boundaries only `before` and
/// `behind` are filled in.
/// @param content untrusted
/// @param file named in errors
/// @throws file_error
/// Source: the format that tokenizers 0.23 writes.
byte_pair_parts read_tokenizer_json(std::string_view content, std::string_view file);

// One for each part of the file.

std::vector<normalizer> read_normalizers(const json_node& node);
std::vector<pre_tokenizer> read_pre_tokenizers(const json_node& node);
byte_pair_model read_byte_pair_model(const json_node& node);
std::vector<decode_step> read_decoders(const json_node& node);
/// Adds the tokens of the list; their ids must be those that their order gives.
void read_added_tokens(const json_node& node, byte_pair_parts& parts);
/// Fills in `before` and `behind`.
void read_post_processor(const json_node& node, byte_pair_parts& parts);

/// A pattern as Split and Replace write it: {"String": …} or {"Regex": …}.
text_pattern read_pattern(const json_node& node);
/// One character.
char32_t read_character(const json_node& node);

}  // namespace kvtransfer::detail
