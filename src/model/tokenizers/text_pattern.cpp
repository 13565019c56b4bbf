#include "model/tokenizers/text_pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "model/tokenizers/oniguruma_syntax.hpp"
#include "model/tokenizers/utf8.hpp"

namespace kvtransfer::detail {

namespace {

constexpr std::size_t longest_expression = 1 << 14;  // bytes
constexpr std::uint32_t most_steps = 2'000'000;      // for one match; a hostile expression takes 2^length
constexpr std::uint32_t most_memory = 256 * 1024;    // KiB, for one match

template <auto Free>
struct freed {
  template <class T>
  void operator()(T* owned) const {
    Free(owned);
  }
};
using compiled = std::shared_ptr<pcre2_code>;
using compile_settings = std::unique_ptr<pcre2_compile_context, freed<pcre2_compile_context_free>>;
using match_settings = std::unique_ptr<pcre2_match_context, freed<pcre2_match_context_free>>;
using match_result = std::unique_ptr<pcre2_match_data, freed<pcre2_match_data_free>>;

std::string message_of(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

compiled compile(const std::string& expression, std::string_view where) {
  const compile_settings settings(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(settings.get(), PCRE2_NEWLINE_LF);
  pcre2_set_max_pattern_length(settings.get(), longest_expression);
  constexpr std::uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  int error = 0;
  PCRE2_SIZE at = 0;
  compiled code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(), options, &error, &at,
                              settings.get()),
                &pcre2_code_free);
  if (code == nullptr) {
    fail<file_error>(where, "regex", "a regular expression", fmt::format("one with {}", message_of(error)));
  }
  return code;
}

/// @param find_from the first match at or behind an offset
template <class FindFrom>
std::vector<text_range> find_repeatedly(std::string_view text, FindFrom find_from) {
  std::vector<text_range> found;
  std::optional<std::size_t> last_end;
  for (std::size_t from = 0; from <= text.size() && !text.empty();) {
    const std::optional<text_range> match = find_from(from);
    if (!match) {
      break;
    }
    if (match->begin == match->end && last_end == match->end) {
      from += from < text.size() ? character_at(text, from).bytes : 1;
      continue;
    }
    found.push_back(*match);
    from = match->end;
    last_end = match->end;
  }
  return found;
}

std::vector<text_range> matches(const pcre2_code* code, std::string_view text, std::string_view where) {
  const match_settings settings(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(settings.get(), most_steps);
  pcre2_set_depth_limit(settings.get(), most_steps);
  pcre2_set_heap_limit(settings.get(), most_memory);
  const match_result result(pcre2_match_data_create_from_pattern(code, nullptr));
  return find_repeatedly(text, [&](std::size_t from) -> std::optional<text_range> {
    const int rc = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from, PCRE2_NO_UTF_CHECK,
                               result.get(), settings.get());
    if (rc == PCRE2_ERROR_NOMATCH) {
      return std::nullopt;
    }
    if (rc < 0) {
      fail<file_error>(where, "regex", fmt::format("a match within {} steps and {} KiB", most_steps, most_memory),
                       message_of(rc));
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(result.get());
    return text_range{ends[0], ends[1]};
  });
}

}  // namespace

text_pattern text_pattern::literal(std::string text) {
  return text_pattern([wanted = std::move(text)](std::string_view inside) {
    return find_repeatedly(inside, [&](std::size_t from) -> std::optional<text_range> {
      const std::size_t at = inside.find(wanted, from);
      return at == inside.npos ? std::nullopt : std::optional(text_range{at, at + wanted.size()});
    });
  });
}

text_pattern text_pattern::regex(std::string_view expression, std::string where) {
  compiled code = compile(pcre2_of_oniguruma(expression, where), where);
  return text_pattern([code = std::move(code), where = std::move(where)](std::string_view inside) {
    return matches(code.get(), inside, where);
  });
}

}  // namespace kvtransfer::detail
