#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/donor.hpp"
#include "kvtransfer/inject/index_ranges.hpp"
#include "kvtransfer/inject/policy_arguments.hpp"
#include "kvtransfer/inject/select/heads.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE policy_arguments::policy_arguments(std::string_view whole, std::string_view piece,
                                                     std::string_view example, const std::vector<std::string>& roles)
    : whole_(whole), example_(example), roles_(&roles) {
  std::size_t begin = piece.find(':');
  name_ = piece.substr(0, begin);
  while (begin != std::string_view::npos) {
    const std::size_t end = piece.find(':', begin + 1);
    fields_.push_back(piece.substr(begin + 1, end == std::string_view::npos ? end : end - begin - 1));
    begin = end;
  }
}

KVTRANSFER_INLINE void policy_arguments::require_count(std::size_t least, std::size_t most) const {
  if (fields_.size() < least) {
    const std::string_view last = fields_.empty() ? name_ : fields_.back();
    refuse_at(last.substr(last.size()), "a colon and an argument", "nothing");
  }
  if (fields_.size() > most) {
    refuse(most, "nothing more", fields_[most]);
  }
}

KVTRANSFER_INLINE std::string_view policy_arguments::field(std::size_t index) const {
  require_count(index + 1, std::max(index + 1, fields_.size()));
  if (fields_[index].empty()) {
    refuse(index, "an argument", "nothing");
  }
  return fields_[index];
}

KVTRANSFER_INLINE std::int64_t policy_arguments::number(std::size_t index, std::int64_t least) const {
  const std::string_view text = field(index);
  const std::optional<std::int64_t> value = whole_number(text);
  if (!value || *value < least || *value > largest_number || *value < -largest_number) {
    refuse(index, least > -largest_number ? fmt::format("a whole number from {} on", least) : "a whole number", text);
  }
  return *value;
}

KVTRANSFER_INLINE double policy_arguments::real(std::size_t index) const {
  const std::string_view text = field(index);
  double value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || !(std::abs(value) <= 1000)) {
    refuse(index, "a number between -1000 and 1000", text);
  }
  return value;
}

KVTRANSFER_INLINE std::string policy_arguments::name(std::size_t index) const {
  const std::string_view text = field(index);
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto fits = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  if (!is_letter(text.front()) || !std::ranges::all_of(text, fits)) {
    refuse(index, "a name of letters, digits, _ and -", text);
  }
  return std::string(text);
}

KVTRANSFER_INLINE donor policy_arguments::donor_at(std::size_t index) const {
  const std::string_view text = field(index);
  require_role(text, text);
  return {std::string(text)};
}

KVTRANSFER_INLINE donor policy_arguments::cache_at(std::size_t index) const {
  donor given = donor_at(index);
  if (given.is_zero()) {
    refuse(index, "a cache, as zeros have no length", field(index));
  }
  return given;
}

KVTRANSFER_INLINE std::vector<donor> policy_arguments::donors(std::size_t index) const {
  std::vector<donor> all;
  for (const std::string_view item : items(field(index))) {
    require_role(item, item);
    if (std::ranges::find(all, item, &donor::role) != all.end()) {
      refuse_at(item, "every donor once", item);
    }
    all.emplace_back(std::string(item));
  }
  return all;
}

KVTRANSFER_INLINE std::pair<donor, cache_half> policy_arguments::donor_half(std::size_t index) const {
  const std::string_view text = field(index);
  const std::size_t point = text.find('.');
  const std::string role(text.substr(0, point));
  require_role(role, text);
  if (point == std::string_view::npos) {
    return {role, cache_half::both};
  }
  const auto half = cache_half_named(text.substr(point + 1));
  if (!half || *half == cache_half::both) {
    refuse(index, fmt::format("{0}, {0}.keys or {0}.values", role), text);
  }
  return {role, *half};
}

KVTRANSFER_INLINE index_ranges policy_arguments::indices(std::size_t index) const {
  std::vector<slot_range> ranges;
  for (const std::string_view item : items(field(index))) {
    append(ranges, item, item);
  }
  return index_ranges(std::move(ranges));
}

KVTRANSFER_INLINE std::pair<std::int64_t, std::int64_t> policy_arguments::closed_range(std::size_t index) const {
  std::vector<slot_range> range;
  append(range, field(index), field(index));
  if (range.front().end() == index_ranges::open(0).end()) {
    refuse(index, "a range with both ends", field(index));
  }
  return {range.front().begin, range.front().end() - 1};
}

KVTRANSFER_INLINE std::vector<head_group> policy_arguments::head_groups(std::size_t index) const {
  std::vector<std::pair<std::optional<std::int64_t>, std::vector<slot_range>>> found;
  for (const std::string_view item : items(field(index))) {
    const std::size_t point = item.find('.');
    std::optional<std::int64_t> layer;
    if (point != std::string_view::npos) {
      layer = whole_number(item.substr(0, point));
      if (!layer || *layer < 0) {
        refuse_at(item, "a layer in front of the point", item.substr(0, point));
      }
    }
    auto group = std::ranges::find(found, layer, [](const auto& each) { return each.first; });
    group = group == found.end() ? found.insert(found.end(), {layer, {}}) : group;
    append(group->second, point == std::string_view::npos ? item : item.substr(point + 1), item);
  }
  std::vector<head_group> groups;
  for (auto& [layer, ranges] : found) {
    groups.push_back({layer, index_ranges(std::move(ranges))});
  }
  return groups;
}

KVTRANSFER_INLINE void policy_arguments::refuse(std::size_t index, std::string_view expected,
                                                std::string_view got) const {
  refuse_at(fields_[index], expected, got);
}

KVTRANSFER_INLINE void policy_arguments::require_role(std::string_view role, std::string_view place) const {
  if (std::ranges::find(*roles_, role) == roles_->end()) {
    refuse_at(place, fmt::format("one of {}", fmt::join(*roles_, ", ")), role);
  }
}

KVTRANSFER_INLINE void policy_arguments::refuse_in(std::string_view whole, std::string_view place,
                                                   std::string_view expected, std::string_view example,
                                                   std::string_view got) {
  fail<value_error>(fmt::format("injection policy \"{}\"", shown(whole)),
                    fmt::format("character {}", place.data() - whole.data() + 1),
                    example.empty() ? std::string(expected) : fmt::format("{}, as in {}", expected, example),
                    got == "nothing" ? std::string(got) : fmt::format("\"{}\"", shown(got)));
}

KVTRANSFER_INLINE std::string policy_arguments::shown(std::string_view text) {
  constexpr std::size_t most = 80;
  std::string safe(text.substr(0, most));
  std::ranges::replace_if(safe, [](char c) { return c < ' ' || c > '~'; }, '?');
  return text.size() > most ? safe + "..." : safe;
}

KVTRANSFER_INLINE std::optional<std::int64_t> policy_arguments::whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool read = problem == std::errc{} && end == text.data() + text.size() && !text.starts_with("-0");
  return read ? std::optional(value) : std::nullopt;
}

KVTRANSFER_INLINE std::vector<std::string_view> policy_arguments::items(std::string_view list) {
  std::vector<std::string_view> all;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    all.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return all;
}

KVTRANSFER_INLINE void policy_arguments::append(std::vector<slot_range>& ranges, std::string_view item,
                                                std::string_view shown_item) const {
  const std::size_t dash = item.find('-');
  const std::optional<std::int64_t> first = whole_number(item.substr(0, dash));
  const std::string_view behind = dash == std::string_view::npos ? std::string_view() : item.substr(dash + 1);
  const std::optional<std::int64_t> last = behind.empty() ? first : whole_number(behind);
  if (!first || *first < 0 || *first > largest_number) {
    refuse_at(item, "a number from 0 on, or a range", item.empty() ? "nothing" : item);
  }
  if (!last || *last < *first || *last > largest_number) {
    refuse_at(behind, fmt::format("a number from {} on, or nothing", *first), behind);
  }
  const bool open = dash != std::string_view::npos && behind.empty();
  const slot_range range = open ? index_ranges::open(*first) : index_ranges::closed(*first, *last);
  for (const slot_range& earlier : ranges) {
    if (!earlier.overlap(range).empty()) {
      refuse_at(item, "every number once", shown_item);
    }
  }
  ranges.push_back(range);
}

KVTRANSFER_INLINE void policy_arguments::refuse_at(std::string_view place, std::string_view expected,
                                                   std::string_view got) const {
  refuse_in(whole_, place, expected, example_, got);
}

}  // namespace kvtransfer
