#include "experiment/input_digest.hpp"

#include <span>

#include "kvtransfer/core/mapped_file.hpp"

namespace kvtransfer::detail {

void input_digest::add_file(const std::filesystem::path& file) {
  digest content;
  content.add(mapped_file::open(file)->bytes());
  add_text(content.text());
}

void input_digest::add_tokens(const std::vector<std::int64_t>& token_ids) {
  digest content;
  content.add(std::as_bytes(std::span(token_ids)));
  add_text(content.text());
}

void input_digest::add_text(std::string_view text) {
  all_.add(text);
  empty_ = false;
}

}  // namespace kvtransfer::detail
