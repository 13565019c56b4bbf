#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "value.hpp"

namespace kvtransfer::detail {

/// What a filter, a test or a method is called with.
struct call_arguments {
  std::vector<template_value> positional;
  std::vector<std::pair<std::string, template_value>> named;
};

/// Longest text that a template may build, in bytes.
inline constexpr std::size_t longest_text = 1U << 20U;

/// `value | name(arguments)`. @throws template_error for a filter that is not known, or not for such a value
[[nodiscard]] template_value apply_filter(std::string_view name, const template_value& value,
                                          const call_arguments& arguments);

/// `value is name(arguments)`. @throws template_error for a test that is not known
[[nodiscard]] bool apply_test(std::string_view name, const template_value& value, const call_arguments& arguments);

/// `value.name(arguments)`, of a string or a map. @throws template_error for a method that is not known
[[nodiscard]] template_value call_method(std::string_view name, const template_value& value,
                                         const call_arguments& arguments);

/// `left op right` for every operator but `and` and `or`. @throws template_error for operands it is not for
[[nodiscard]] template_value apply_operator(std::string_view op, const template_value& left,
                                            const template_value& right);

/// The items that a loop over `value` sees: of a list, the keys of a map, the code points of a string; none if
/// undefined.
/// @throws template_error for another value
[[nodiscard]] value_list items_of(const template_value& value);

/// value[begin:end:step] of a list or a string, bounds as Python has them, `none` for a bound left out.
[[nodiscard]] template_value slice_of(const template_value& value, const template_value& begin,
                                      const template_value& end, const template_value& step);

/// value[key], or an undefined value. @throws template_error where `value` is itself undefined
[[nodiscard]] template_value item_of(const template_value& value, const template_value& key);

}  // namespace kvtransfer::detail
