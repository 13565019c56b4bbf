#include "functions.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "template_error.hpp"
#include "unicode_text.hpp"

namespace kvtransfer::detail {
namespace {

[[noreturn]] void refuse(std::string_view kind, std::string_view name, const template_value& value) {
  throw template_error(fmt::format("the {} \"{}\" of {}", kind, name.substr(0, 40), value.description()));
}

const std::string& text_argument(std::string_view name, const call_arguments& arguments, std::size_t index) {
  if (index >= arguments.positional.size() || arguments.positional[index].string() == nullptr) {
    throw template_error(fmt::format("\"{}\" without a text as argument", name));
  }
  return *arguments.positional[index].string();
}

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// upper, lower, title or capitalize; ASCII alone, since the rest takes Unicode's tables.
template_value cased(std::string_view name, std::string text) {
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) {
    throw template_error(fmt::format("\"{}\" of a text that is not ASCII", name));
  }
  bool begins = true;
  for (char& c : text) {
    const bool letter = upper(c) != lower(c);
    c = name == "upper" || (begins && name != "lower") ? upper(c) : lower(c);
    begins = name == "title" ? !letter : false;
  }
  return text;
}

template_value replaced(const std::string& text, const std::string& from, const std::string& to) {
  if (from.empty()) {
    throw template_error("\"replace\" of an empty text");
  }
  std::string result;
  std::size_t begin = 0;
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, begin)) {
    result.append(text, begin, at - begin).append(to);
    begin = at + from.size();
    if (result.size() > longest_text) {
      throw template_error(fmt::format("a text of more than {} bytes", longest_text));
    }
  }
  return result.append(text, begin);
}

template_value split(const std::string& text, const std::string& separator) {
  if (separator.empty()) {
    throw template_error("\"split\" at an empty text");
  }
  value_list parts;
  std::size_t begin = 0;
  for (std::size_t at = text.find(separator); at != std::string::npos; at = text.find(separator, begin)) {
    parts.emplace_back(text.substr(begin, at - begin));
    begin = at + separator.size();
  }
  parts.emplace_back(text.substr(begin));
  return parts;
}

/// strip, lstrip and rstrip: of white space, or of any of the ASCII characters given.
template_value stripped(std::string_view name, std::string_view text, const call_arguments& arguments) {
  const bool left = name != "rstrip", right = name != "lstrip";
  if (arguments.positional.empty()) {
    text = left ? strip_left(text) : text;
    return right ? strip_right(text) : text;
  }
  const std::string& set = text_argument(name, arguments, 0);
  if (std::ranges::any_of(set, [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) {
    throw template_error(fmt::format("\"{}\" of characters that are not ASCII", name));
  }
  if (left) {
    text.remove_prefix(std::min(text.find_first_not_of(set), text.size()));
  }
  return right ? text.substr(0, text.find_last_not_of(set) + 1) : text;
}

template_value entries_of(const value_map& map) {
  value_list entries;
  for (const auto& [key, item] : map) {
    entries.emplace_back(value_list{key, item});
  }
  return entries;
}

/// selectattr and rejectattr: the items whose attribute is true, or passes a test.
template_value with_attribute(bool select, const template_value& value, const call_arguments& arguments) {
  const std::string& attribute = text_argument("selectattr", arguments, 0);
  value_list chosen;
  for (const template_value& item : items_of(value)) {
    const template_value found = item_of(item, attribute);
    bool passes = found.truth();
    if (arguments.positional.size() > 1) {
      call_arguments rest;
      rest.positional.assign(arguments.positional.begin() + 2, arguments.positional.end());
      passes = apply_test(text_argument("selectattr", arguments, 1), found, rest);
    }
    if (passes == select) {
      chosen.push_back(item);
    }
  }
  return chosen;
}

template_value joined(const template_value& value, const call_arguments& arguments) {
  const std::string separator = arguments.positional.empty() ? "" : text_argument("join", arguments, 0);
  std::string text;
  bool first = true;
  for (const template_value& item : items_of(value)) {
    text += first ? "" : separator;
    text += item.text();
    first = false;
    if (text.size() > longest_text) {
      throw template_error(fmt::format("a text of more than {} bytes", longest_text));
    }
  }
  return text;
}

}  // namespace

template_value apply_filter(std::string_view name, const template_value& value, const call_arguments& arguments) {
  if (name == "trim" && arguments.positional.empty()) {
    return strip(value.text());
  }
  if (name == "length" || name == "count") {
    return value.map() != nullptr ? value.map()->size() : items_of(value).size();
  }
  if (name == "default" || name == "d") {
    const bool falsy = arguments.positional.size() > 1 && arguments.positional[1].truth();
    const bool replaced = falsy ? !value.truth() : value.is<undefined_value>();
    return !replaced ? value : arguments.positional.empty() ? template_value("") : arguments.positional[0];
  }
  if (name == "upper" || name == "lower" || name == "title" || name == "capitalize") {
    return cased(name, value.text());
  }
  if (name == "replace") {
    return replaced(value.text(), text_argument(name, arguments, 0), text_argument(name, arguments, 1));
  }
  if (name == "string") {
    return value.text();
  }
  if (name == "list") {
    return items_of(value);
  }
  if (name == "first" || name == "last") {
    return item_of(value.map() == nullptr ? value : template_value(items_of(value)),
                   std::int64_t{name == "first" ? 0 : -1});
  }
  if (name == "items" && value.map() != nullptr) {
    return entries_of(*value.map());
  }
  if (name == "join") {
    return joined(value, arguments);
  }
  if (name == "selectattr" || name == "rejectattr") {
    return with_attribute(name == "selectattr", value, arguments);
  }
  refuse("filter", name, value);
}

bool apply_test(std::string_view name, const template_value& value, const call_arguments& arguments) {
  const auto other = [&]() -> const template_value& {
    if (arguments.positional.empty()) {
      throw template_error(fmt::format("the test \"{}\" without an argument", name));
    }
    return arguments.positional[0];
  };
  const bool boolean = value.is<bool>(), integer = value.is<std::int64_t>();
  if (name == "defined" || name == "undefined") {
    return value.is<undefined_value>() == (name == "undefined");
  }
  if (name == "none") {
    return value.is<none_value>();
  }
  if (name == "string") {
    return value.string() != nullptr;
  }
  if (name == "mapping") {
    return value.map() != nullptr;
  }
  if (name == "sequence" || name == "iterable") {
    return value.string() != nullptr || value.list() != nullptr || value.map() != nullptr ||
           value.is<undefined_value>();
  }
  if (name == "boolean") {
    return boolean;
  }
  if (name == "integer") {
    return integer;
  }
  if (name == "number") {
    return integer || boolean;
  }
  if (name == "true" || name == "false") {
    return boolean && *value.get_if<bool>() == (name == "true");
  }
  if (name == "equalto" || name == "eq") {
    return value == other();
  }
  if (name == "ne") {
    return !(value == other());
  }
  if (name == "in") {
    return apply_operator("in", value, other()).truth();
  }
  refuse("test", name, value);
}

template_value call_method(std::string_view name, const template_value& value, const call_arguments& arguments) {
  if (const std::string* text = value.string()) {
    if (name == "strip" || name == "lstrip" || name == "rstrip") {
      return stripped(name, *text, arguments);
    }
    if (name == "startswith") {
      return text->starts_with(text_argument(name, arguments, 0));
    }
    if (name == "endswith") {
      return text->ends_with(text_argument(name, arguments, 0));
    }
    if (name == "split" && arguments.positional.size() == 1) {
      return split(*text, text_argument(name, arguments, 0));
    }
    if (name == "replace" && arguments.positional.size() == 2) {
      return replaced(*text, text_argument(name, arguments, 0), text_argument(name, arguments, 1));
    }
    if (name == "upper" || name == "lower" || name == "title" || name == "capitalize") {
      return cased(name, *text);
    }
  }
  if (const value_map* map = value.map()) {
    if (name == "items") {
      return entries_of(*map);
    }
    if (name == "keys") {
      return items_of(value);
    }
    if (name == "get" && !arguments.positional.empty()) {
      const template_value* found = find_entry(*map, text_argument(name, arguments, 0));
      return found != nullptr ? *found : arguments.positional.size() > 1 ? arguments.positional[1] : template_value();
    }
  }
  refuse("method", name, value);
}

}  // namespace kvtransfer::detail
