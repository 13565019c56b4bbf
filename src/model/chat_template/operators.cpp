#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "functions.hpp"
#include "template_error.hpp"
#include "unicode_text.hpp"

namespace kvtransfer::detail {
namespace {

[[noreturn]] void refuse(std::string_view op, const template_value& left, const template_value& right) {
  throw template_error(fmt::format("{} of {} and {}", op, left.description(), right.description()));
}

template_value joined(std::string left, std::string_view right) {
  if (left.size() + right.size() > longest_text) {
    throw template_error(fmt::format("a text of more than {} bytes", longest_text));
  }
  left += right;
  return left;
}

bool contains(const template_value& container, const template_value& item) {
  if (const std::string* text = container.string(); text != nullptr && item.string() != nullptr) {
    return text->find(*item.string()) != std::string::npos;
  }
  if (const value_list* list = container.list()) {
    return std::ranges::any_of(*list, [&](const template_value& each) { return each == item; });
  }
  if (const value_map* map = container.map()) {
    return item.string() != nullptr && find_entry(*map, *item.string()) != nullptr;
  }
  if (container.is<undefined_value>()) {
    return false;
  }
  refuse("in", item, container);
}

template_value arithmetic(std::string_view op, const template_value& left, const template_value& right) {
  const auto* a = left.get_if<std::int64_t>();
  const auto* b = right.get_if<std::int64_t>();
  if (a == nullptr || b == nullptr) {
    refuse(op, left, right);
  }
  std::int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(*a, *b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(*a, *b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(*a, *b, &result);
  } else if ((op == "%" || op == "//") && *b > 0) {  // rounded down, as Python does
    const std::int64_t rest = (*a % *b + *b) % *b;
    result = op == "%" ? rest : (*a - rest) / *b;
    overflow = *a < std::numeric_limits<std::int64_t>::min() + *b || *b > std::numeric_limits<std::int64_t>::max() / 2;
  } else {
    refuse(op, left, right);
  }
  if (overflow) {
    throw template_error("a number past 2^63");
  }
  return result;
}

template <class T>
bool ordered(std::string_view op, const T& a, const T& b) {
  return op == "<" ? a < b : op == "<=" ? a <= b : op == ">" ? a > b : a >= b;
}

}  // namespace

template_value apply_operator(std::string_view op, const template_value& left, const template_value& right) {
  if (op == "==" || op == "!=") {
    return (left == right) == (op == "==");
  }
  if (op == "in" || op == "not in") {
    return contains(right, left) == (op == "in");
  }
  if (op == "~") {
    return joined(left.text(), right.text());
  }
  if (op == "<" || op == "<=" || op == ">" || op == ">=") {
    if (left.is<std::int64_t>() && right.is<std::int64_t>()) {
      return ordered(op, *left.get_if<std::int64_t>(), *right.get_if<std::int64_t>());
    }
    if (left.string() != nullptr && right.string() != nullptr) {
      return ordered(op, *left.string(), *right.string());
    }
    refuse(op, left, right);
  }
  if (op == "+" && left.string() != nullptr && right.string() != nullptr) {
    return joined(*left.string(), *right.string());
  }
  if (op == "+" && left.list() != nullptr && right.list() != nullptr) {
    value_list items = *left.list();
    items.insert(items.end(), right.list()->begin(), right.list()->end());
    return items;
  }
  return arithmetic(op, left, right);
}

value_list items_of(const template_value& value) {
  if (value.list() != nullptr) {
    return *value.list();
  }
  value_list items;
  if (const value_map* map = value.map()) {
    for (const auto& [key, item] : *map) {
      items.emplace_back(key);
    }
  } else if (const std::string* text = value.string()) {
    const auto offsets = code_point_offsets(*text);
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
      items.emplace_back(text->substr(offsets[i], offsets[i + 1] - offsets[i]));
    }
  } else if (!value.is<undefined_value>()) {
    throw template_error(fmt::format("the items of {}", value.description()));
  }
  return items;
}

template_value slice_of(const template_value& value, const template_value& begin, const template_value& end,
                        const template_value& step) {
  if (value.list() == nullptr && value.string() == nullptr) {
    throw template_error(fmt::format("a slice of {}", value.description()));
  }
  const value_list items = items_of(value);
  const auto count = static_cast<std::int64_t>(items.size());
  const auto whole = [&](const template_value& bound, std::int64_t otherwise) {
    if (bound.is<none_value>()) {
      return otherwise;
    }
    if (!bound.is<std::int64_t>()) {
      throw template_error(fmt::format("a slice up to {}", bound.description()));
    }
    return *bound.get_if<std::int64_t>();
  };
  const std::int64_t stride = whole(step, 1);
  if (stride != 1 && stride != -1) {
    throw template_error(fmt::format("a slice with the step {}", stride));
  }
  const bool backwards = stride < 0;
  const auto clamped = [&](std::int64_t bound) {
    return std::clamp<std::int64_t>(bound < 0 ? bound + count : bound, backwards ? -1 : 0,
                                    backwards ? count - 1 : count);
  };
  std::int64_t at = begin.is<none_value>() ? (backwards ? count - 1 : 0) : clamped(whole(begin, 0));
  const std::int64_t stop = end.is<none_value>() ? (backwards ? -1 : count) : clamped(whole(end, 0));
  value_list chosen;
  for (; backwards ? at > stop : at < stop; at += stride) {
    chosen.push_back(items[static_cast<std::size_t>(at)]);
  }
  if (value.list() != nullptr) {
    return chosen;
  }
  std::string text;
  for (const template_value& each : chosen) {
    text += *each.string();
  }
  return text;
}

template_value item_of(const template_value& value, const template_value& key) {
  if (value.is<undefined_value>() || value.is<none_value>()) {
    throw template_error(fmt::format("an item of {}", value.description()));
  }
  const std::string* name = key.string();
  const std::string shown = name != nullptr ? *name : "item";
  const template_value* found = nullptr;
  if (const auto* space = value.get_if<namespace_value>(); space != nullptr && name != nullptr) {
    found = find_entry(*space->attributes, *name);
  } else if (const value_map* map = value.map(); map != nullptr && name != nullptr) {
    found = find_entry(*map, *name);
  } else if (const auto* index = key.get_if<std::int64_t>(); index != nullptr && value.map() == nullptr) {
    const value_list characters = value.list() != nullptr ? value_list() : items_of(value);
    const value_list& items = value.list() != nullptr ? *value.list() : characters;
    const auto count = static_cast<std::int64_t>(items.size());
    const std::int64_t at = *index < 0 ? *index + count : *index;
    return at < 0 || at >= count ? template_value(undefined_value{shown}) : items[static_cast<std::size_t>(at)];
  }
  return found == nullptr ? template_value(undefined_value{shown}) : *found;
}

}  // namespace kvtransfer::detail
