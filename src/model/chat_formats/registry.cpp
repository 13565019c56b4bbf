#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "eos_pieces.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/chat_format_registry.hpp"

namespace kvtransfer {
namespace detail {
namespace {

constexpr std::string_view eos_mark = "{{ eos_token }}";

constexpr std::string chat_format::* pieces[]{&chat_format::before_system, &chat_format::after_system,
                                              &chat_format::before_user, &chat_format::after_user,
                                              &chat_format::assistant_prompt};

}  // namespace

bool prints_eos(const chat_format& format) {
  return std::ranges::any_of(pieces, [&](auto piece) { return (format.*piece).find(eos_mark) != std::string::npos; });
}

chat_format with_eos(chat_format format, const std::string& eos) {
  for (const auto piece : pieces) {
    std::string& text = format.*piece;
    for (std::size_t at = text.find(eos_mark); at != std::string::npos; at = text.find(eos_mark, at + eos.size())) {
      text.replace(at, eos_mark.size(), eos);
    }
  }
  return format;
}

}  // namespace detail

void chat_format_registry::add(chat_format format) {
  const auto taken = [&](const chat_format& each) { return each.name == format.name; };
  require<value_error>(std::ranges::none_of(formats_, taken), "chat_format_registry", "name", "one that is free",
                       format.name);
  formats_.push_back(std::move(format));
}

std::vector<std::string> chat_format_registry::names() const {
  std::vector<std::string> all;
  std::ranges::transform(formats_, std::back_inserter(all), &chat_format::name);
  return all;
}

chat_format chat_format_registry::find(std::string_view name, const special_token_texts& tokens) const {
  const auto found = std::ranges::find(formats_, name, &chat_format::name);
  if (found == formats_.end()) {
    fail<value_error>("chat format", "name", fmt::format("one of {}", fmt::join(names(), ", ")),
                      fmt::format("\"{}\"", name));
  }
  if ((found->prints_bos && tokens.bos.empty()) || (detail::prints_eos(*found) && tokens.eos.empty())) {
    fail<value_error>("chat format " + found->name, found->prints_bos && tokens.bos.empty() ? "BOS" : "EOS",
                      "a model with this token, which the format prints", "none");
  }
  return detail::with_eos(*found, tokens.eos);
}

}  // namespace kvtransfer
