#pragma once

#include <string>
#include <string_view>

namespace kvtransfer::detail {

/// Rewrites a regular expression from Oniguruma's default syntax (Ruby's), which tokenizer.json uses, to PCRE2's.
///
/// What both read alike is kept; what they read differently is written out (`\s`, which in PCRE2 matches U+180E; `\w`;
/// scripts; `{1,3}+`, which in Ruby repeats and does not fix); what is neither is refused.
/// @param where named in errors: file and field
/// @throws file_error for a construct that is not known here
/// Source: Oniguruma 6.9, doc/RE; the pcre2pattern manual of 10.42.
std::string pcre2_of_oniguruma(std::string_view pattern, std::string_view where);

}  // namespace kvtransfer::detail
