#include "experiment/list_items.hpp"

#include <fmt/format.h>

#include "experiment/text_lists.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

namespace {

/// Two neighbours of a list with the comma between them.
std::string_view joined_pieces(std::string_view first, std::string_view second) {
  return {first.data(), first.size() + 1 + second.size()};
}

[[noreturn]] void refuse_two_readings(std::string_view list, std::string_view piece, std::string_view before,
                                      const item_rules& rules) {
  fail<value_error>(
      fmt::format("{} \"{}\"", rules.list_name, list), fmt::format("character {}", piece.data() - list.data() + 1),
      fmt::format("one reading: \"{0}\" in front of \"{1}\" where it is a {2} of its own, in front of the "
                  "names that it is listed with where it belongs to them",
                  piece, before, rules.item_name),
      fmt::format("\"{}\", which may be either", piece));
}

/// Whether a piece belongs to the item before. @throws value_error where that cannot be told
bool goes_on(std::string_view list, std::string_view item, std::string_view piece, const item_rules& rules) {
  if (piece.empty() || !rules.ends_open(item)) {
    return false;
  }
  if (!rules.begins(piece)) {
    return true;
  }
  if (!rules.is_item(joined_pieces(item, piece))) {
    return false;
  }
  if (rules.is_item(item) && rules.is_item(piece)) {
    refuse_two_readings(list, piece, item, rules);
  }
  return true;
}

}  // namespace

std::vector<std::string_view> list_items(std::string_view list, const item_rules& rules) {
  std::vector<std::string_view> items;
  for (const std::string_view piece : split(list, ',')) {
    if (!items.empty() && goes_on(list, items.back(), piece, rules)) {
      items.back() = joined_pieces(items.back(), piece);
    } else {
      items.push_back(piece);
    }
  }
  return items;
}

}  // namespace kvtransfer::detail
