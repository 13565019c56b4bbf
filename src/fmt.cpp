// The code behind fmt's headers, compiled once instead of in every file that formats an error. Torch's wheel ships these headers,
// which are found first, and no library that fits them. All of it is weak: a program may bring fmt's own library too.

#define FMT_FUNC __attribute__((weak))
#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE

// What fmt/chrono.h asks of it.
template auto locale_ref::get<std::locale>() const -> std::locale;

namespace detail {

// Declared `extern template` by the headers, or not defined in them.
template auto thousands_sep_impl(locale_ref) -> thousands_sep_result<char>;
template auto decimal_point_impl(locale_ref) -> char;
template auto dragonbox::to_decimal(float) noexcept -> dragonbox::decimal_fp<float>;
template auto dragonbox::to_decimal(double) noexcept -> dragonbox::decimal_fp<double>;

}  // namespace detail
FMT_END_NAMESPACE
