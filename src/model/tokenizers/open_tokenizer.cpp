#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/model/tokenizers/gguf_vocabulary.hpp"
#include "kvtransfer/model/weights/find_gguf.hpp"
#include "kvtransfer/model/weights/gguf_file.hpp"
#include "model/is_there.hpp"
#include "model/tokenizers/folder_settings.hpp"
#include "model/tokenizers/sentencepiece_tokenizer.hpp"
#include "model/tokenizers/tokenizer_json.hpp"

namespace kvtransfer {

namespace {

using namespace detail;

std::vector<std::filesystem::path> with_first(const std::filesystem::path& file,
                                              std::vector<std::filesystem::path> others) {
  others.insert(others.begin(), file);
  return others;
}

/// Two files of a folder that give one token two ids would leave it open which the model was trained with.
[[noreturn]] void refuse_added(const std::filesystem::path& folder, const added_token& token) {
  fail<file_error>(folder.string(), fmt::format("added token {}", excerpt(token.content)),
                   "the vocabulary's own id, or one that is free", fmt::format("{}", token.id));
}

any_tokenizer open_json(const std::filesystem::path& folder, const std::filesystem::path& file) {
  const folder_settings settings = read_folder_settings(folder);
  auto parts = std::make_shared<byte_pair_parts>(read_tokenizer_json(read_text(file), file.string()));
  for (const added_token& token : settings.added) {
    if (parts->id_of(token.content) != token.id) {
      refuse_added(folder, token);
    }
  }
  parts->boundaries =
      boundaries_of(settings, parts->boundaries,
                    [&](const std::string& text) -> std::optional<std::int64_t> { return parts->id_of(text); });
  parts->files = with_first(file, settings.files);
  return byte_pair_tokenizer(std::move(parts));
}

any_tokenizer open_sentencepiece(const std::filesystem::path& folder, const std::filesystem::path& file) {
  using prefix = sentencepiece_parts::prefix;
  const folder_settings settings = read_folder_settings(folder);
  const prefix prefixed = !settings.add_prefix_space.value_or(true) ? prefix::none
                          : settings.legacy                         ? prefix::each
                                                                    : prefix::first;
  auto parts = std::make_shared<sentencepiece_parts>(read_text(file), file.string(), prefixed);
  for (const added_token& token : settings.added) {
    if (!parts->add(token)) {
      refuse_added(folder, token);
    }
  }
  parts->add_control_pieces();
  parts->boundaries =
      boundaries_of(settings, parts->boundaries, [&](const std::string& text) { return parts->id_of(text); });
  if (!settings.add_bos_token && parts->boundaries.bos) {
    parts->boundaries.before = {*parts->boundaries.bos};  // SentencePiece models get BOS unless they say otherwise
  }
  parts->files = with_first(file, settings.files);
  return sentencepiece_tokenizer(std::move(parts));
}

}  // namespace

any_tokenizer open_tokenizer(const std::filesystem::path& path) {
  if (const auto file = find_gguf(path)) {
    return tokenizer_of(read_gguf_vocabulary(gguf_file::open(*file).metadata()));
  }
  if (is_there(path / "tokenizer.json")) {
    return open_json(path, path / "tokenizer.json");
  }
  if (is_there(path / "tokenizer.model")) {
    return open_sentencepiece(path, path / "tokenizer.model");
  }
  fail<file_error>(path.string(), "tokenizer", "tokenizer.json or tokenizer.model", "neither");
}

}  // namespace kvtransfer
