#pragma once

#include <string_view>

#include "model/tokenizers/byte_pair_tokenizer.hpp"

namespace kvtransfer::detail {

/// What a name under `tokenizer.ggml.pre` stands for.
struct gguf_pre_tokenizer {
  std::vector<normalizer> normalizers;
  std::vector<pre_tokenizer> pre_tokenizers;
  bool ignore_merges = false;
  bool adds_bos = false;  ///< where the metadata does not say
};

/// @param add_space_prefix a space in front of each text between added tokens
/// @param file named in errors
/// @throws file_error for a name that is not known, with those that are
gguf_pre_tokenizer pre_tokenizer_named(std::string_view name, bool add_space_prefix, std::string_view file);

}  // namespace kvtransfer::detail
