#include "model/tokenizers/tokenizer_digest.hpp"

#include <string_view>

#include "kvtransfer/core/mapped_file.hpp"
#include "kvtransfer/model/weights/find_gguf.hpp"
#include "kvtransfer/model/weights/gguf_file.hpp"
#include "model/is_there.hpp"
#include "model/weights/digest.hpp"

namespace kvtransfer::detail {

namespace {

std::string digest_of(const gguf_metadata& metadata) {
  constexpr std::string_view prefix = "tokenizer.";
  const auto& values = metadata.values();
  auto value = values.lower_bound(prefix);
  if (value == values.end() || !value->first.starts_with(prefix)) {
    return {};
  }
  digest all;
  for (; value != values.end() && value->first.starts_with(prefix); ++value) {
    all.add(value->first);
    all.add(static_cast<std::uint64_t>(value->second.element));
    all.add(std::uint64_t{value->second.is_array});
    all.add(value->second.count);
    all.add(static_cast<std::uint64_t>(value->second.bytes.size()));
    all.add(value->second.bytes);
  }
  return all.text();
}

}  // namespace

std::string tokenizer_digest(const std::filesystem::path& path) {
  if (const auto file = find_gguf(path)) {
    return digest_of(gguf_file::open(*file).metadata());
  }
  const char* vocabulary = is_there(path / "tokenizer.json") ? "tokenizer.json" : "tokenizer.model";
  if (!is_there(path / vocabulary)) {
    return {};
  }
  digest all;
  for (const char* name :
       {"added_tokens.json", "chat_template.jinja", "special_tokens_map.json", vocabulary, "tokenizer_config.json"}) {
    if (is_there(path / name)) {
      const auto file = mapped_file::open(path / name);
      all.add(std::string_view(name));
      all.add(static_cast<std::uint64_t>(file->bytes().size()));
      all.add(file->bytes());
    }
  }
  return all.text();
}

}  // namespace kvtransfer::detail
