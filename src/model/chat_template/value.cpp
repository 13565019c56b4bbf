#include "value.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "template_error.hpp"

namespace kvtransfer::detail {
namespace {

constexpr int deepest = 50;

int checked_depth(int inner) {
  if (inner >= deepest) {
    throw template_error(fmt::format("values nested more than {} levels", deepest));
  }
  return inner + 1;
}

std::size_t checked_weight(std::size_t weight) {
  constexpr std::size_t heaviest = 100'000;
  if (weight > heaviest) {
    throw template_error(fmt::format("a value of more than {} items", heaviest));
  }
  return weight;
}

}  // namespace

template_value::template_value(value_list items) {
  int inner = 0;
  std::size_t weight = 1;
  for (const template_value& item : items) {
    inner = std::max(inner, item.depth());
    weight = checked_weight(weight + item.weight());
  }
  value_ = std::make_shared<const list_node>(list_node{std::move(items), checked_depth(inner), weight});
}

template_value::template_value(value_map items) {
  int inner = 0;
  std::size_t weight = 1;
  for (const auto& [key, item] : items) {
    inner = std::max(inner, item.depth());
    weight = checked_weight(weight + item.weight());
  }
  value_ = std::make_shared<const map_node>(map_node{std::move(items), checked_depth(inner), weight});
}

/// A namespace counts as the deepest value there is, so that none can be put into a list, a map or another one.
int template_value::depth() const {
  if (const auto* node = get_if<std::shared_ptr<const list_node>>()) {
    return (*node)->depth;
  }
  if (const auto* node = get_if<std::shared_ptr<const map_node>>()) {
    return (*node)->depth;
  }
  return is<namespace_value>() ? deepest : 0;
}

std::size_t template_value::weight() const {
  if (const std::string* text = string()) {
    return 1 + text->size() / 16;
  }
  if (const auto* node = get_if<std::shared_ptr<const list_node>>()) {
    return (*node)->weight;
  }
  const auto* node = get_if<std::shared_ptr<const map_node>>();
  return node == nullptr ? 1 : (*node)->weight;
}

const value_list* template_value::list() const {
  const auto* node = get_if<std::shared_ptr<const list_node>>();
  return node == nullptr ? nullptr : &(*node)->items;
}

const value_map* template_value::map() const {
  const auto* node = get_if<std::shared_ptr<const map_node>>();
  return node == nullptr ? nullptr : &(*node)->items;
}

bool template_value::truth() const {
  if (const bool* boolean = get_if<bool>()) {
    return *boolean;
  }
  if (const std::int64_t* integer = get_if<std::int64_t>()) {
    return *integer != 0;
  }
  if (const std::string* text = string()) {
    return !text->empty();
  }
  if (list() != nullptr) {
    return !list()->empty();
  }
  if (map() != nullptr) {
    return !map()->empty();
  }
  return !is<undefined_value>() && !is<none_value>();
}

std::string template_value::text() const {
  if (const std::string* text = string()) {
    return *text;
  }
  if (is<undefined_value>()) {
    return {};
  }
  if (is<none_value>()) {
    return "None";
  }
  if (const bool* boolean = get_if<bool>()) {
    return *boolean ? "True" : "False";
  }
  if (const std::int64_t* integer = get_if<std::int64_t>()) {
    return std::to_string(*integer);
  }
  throw template_error(fmt::format("{} written out as text", description()));
}

std::string template_value::description() const {
  if (const auto* undefined = get_if<undefined_value>()) {
    return fmt::format("the undefined \"{}\"", undefined->name);
  }
  if (string() != nullptr) {
    return "a string";
  }
  if (list() != nullptr) {
    return "a list";
  }
  if (map() != nullptr) {
    return "a map";
  }
  if (is<function_value>() || is<macro_value>()) {
    return "a function";
  }
  if (is<namespace_value>()) {
    return "a namespace";
  }
  return text();
}

bool operator==(const template_value& left, const template_value& right) {
  // Python's True is 1.
  const auto integer = [](const template_value& value) -> const std::int64_t* {
    static constexpr std::int64_t truths[]{0, 1};
    const bool* boolean = value.get_if<bool>();
    return boolean != nullptr ? &truths[*boolean ? 1 : 0] : value.get_if<std::int64_t>();
  };
  if (integer(left) != nullptr && integer(right) != nullptr) {
    return *integer(left) == *integer(right);
  }
  if (left.value_.index() != right.value_.index()) {
    return false;
  }
  if (left.string() != nullptr) {
    return *left.string() == *right.string();
  }
  if (left.list() != nullptr) {
    return *left.list() == *right.list();
  }
  if (left.map() != nullptr) {
    const auto has = [&](const auto& entry) {
      const template_value* other = find_entry(*right.map(), entry.first);
      return other != nullptr && *other == entry.second;
    };
    return left.map()->size() == right.map()->size() && std::ranges::all_of(*left.map(), has);
  }
  if (const auto* named = left.get_if<namespace_value>()) {
    return named->attributes == right.get_if<namespace_value>()->attributes;
  }
  if (left.is<function_value>() || left.is<macro_value>()) {
    throw template_error("a comparison of functions");
  }
  return true;  // both undefined, or both none
}

const template_value* find_entry(const value_map& map, std::string_view key) {
  const auto found = std::ranges::find_if(map, [&](const auto& entry) { return entry.first == key; });
  return found == map.end() ? nullptr : &found->second;
}

}  // namespace kvtransfer::detail
