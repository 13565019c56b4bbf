#include "kvtransfer/experiment/factorial_conditions.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <utility>

#include "experiment/conditions/described.hpp"
#include "experiment/list_items.hpp"
#include "experiment/text_lists.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/condition_point.hpp"
#include "kvtransfer/experiment/conditions.hpp"

namespace kvtransfer {

namespace {

constexpr std::size_t most_cells = 512;

/// A level's name, and the words that lead there from `transfer`; none where it is `transfer`'s own.
struct known_level {
  std::string_view name;
  std::string_view words;
};

/// What a level that is no name of these may be.
enum class other_levels { none, places_text, places_keys, selects };

struct known_factor {
  std::string_view name;
  std::vector<known_level> levels;
  other_levels others = other_levels::none;
};

const std::vector<known_factor>& listed_factors() {
  static const std::vector<known_factor> table{
      {"bos", {{"once", ""}, {"second", "second_bos"}}},
      {"prompt", {{"source", ""}, {"target", "prompt:target"}}},
      {"cache", {{"prompt", ""}, {"generated", "cache:generated"}, {"generated_eos", "cache:generated_eos"}}},
      {"position", {{"offset", ""}, {"restart", "restart"}, {"gap:16", "gap:16"}}, other_levels::places_text},
      {"keys", {{"as_written", ""}, {"unrotated", "unrotated"}, {"rerotated", "rerotated"}}, other_levels::places_keys},
      {"select", {{"all", ""}}, other_levels::selects},
      {"visible", {{"shown", ""}, {"hidden", "visible:hidden"}}},
      {"control",
       {{"none", ""},
        {"other_source", "control:other_source"},
        {"zero", "control:zero"},
        {"noise", "control:noise"},
        {"noise_sink_kept", "control:noise_sink_kept"},
        {"shuffled_tokens", "control:shuffled_tokens"},
        {"shuffled_layers", "control:shuffled_layers"},
        {"shuffled_heads", "control:shuffled_heads"},
        {"shuffled_slots", "control:shuffled_slots"}}},
      {"cache_precision",
       {{"run", ""}, {"bfloat16", "cache_precision:bfloat16"}, {"float16", "cache_precision:float16"}}},
      {"form", {{"raw", "form:raw"}, {"chat", "form:chat"}}},
  };
  return table;
}

const known_factor* find_factor(std::string_view name) {
  const auto& table = listed_factors();
  const auto found = std::ranges::find(table, name, &known_factor::name);
  return found == table.end() ? nullptr : &*found;
}

[[noreturn]] void refuse_factor(std::string_view list, std::string_view place, const std::string& expected) {
  fail<value_error>(fmt::format("factors \"{}\"", list), fmt::format("character {}", place.data() - list.data() + 1),
                    expected, place.empty() ? std::string("nothing") : fmt::format("\"{}\"", place));
}

/// Whether a policy is of the kind that a factor's levels are.
bool fits(policy_kind kind, other_levels wanted) {
  switch (wanted) {
    case other_levels::places_text:
      return kind == policy_kind::places_text;
    case other_levels::places_keys:
      return kind == policy_kind::places_keys;
    case other_levels::selects:
      return kind == policy_kind::selects || kind == policy_kind::halves || kind == policy_kind::composes ||
             kind == policy_kind::several;
    case other_levels::none:
      break;
  }
  return false;
}

/// The words of a level; nothing where the factor has no such level.
std::optional<std::string> words_of(const known_factor& factor, std::string_view level,
                                    const condition_registry& known) {
  const auto found = std::ranges::find(factor.levels, level, &known_level::name);
  if (found != factor.levels.end()) {
    return std::string(found->words);
  }
  if (factor.others == other_levels::none || level.empty()) {
    return std::nullopt;
  }
  const any_injection_policy policy = known.policies().parse(level);
  return fits(policy.kind(), factor.others) ? std::optional(policy.text()) : std::nullopt;
}

std::string levels_text(const known_factor& factor) {
  std::vector<std::string_view> names;
  for (const known_level& level : factor.levels) {
    names.push_back(level.name);
  }
  const std::string_view more = factor.others == other_levels::places_text   ? ", or a policy that places the text"
                                : factor.others == other_levels::places_keys ? ", or a policy that places the keys"
                                : factor.others == other_levels::selects     ? ", or policies that select"
                                                                             : "";
  return fmt::format("{}{}", fmt::join(names, "/"), more);
}

/// One way through the factors: a level of each.
struct crossing {
  std::map<std::string, std::string> levels;
  std::string words;
};

std::vector<crossing> all_crossings(const std::vector<condition_factor>& factors, const condition_registry& known) {
  std::vector<crossing> cells(1);
  for (const condition_factor& factor : factors) {
    const known_factor* found = find_factor(factor.name);
    std::vector<crossing> more;
    for (const crossing& cell : cells) {
      for (const std::string& level : factor.levels) {
        const std::string words = words_of(*found, level, known).value();
        crossing next = cell;
        next.levels.emplace(factor.name, level);
        next.words += (next.words.empty() || words.empty() ? "" : "+") + words;
        more.push_back(std::move(next));
      }
    }
    cells = std::move(more);
    require<value_error>(cells.size() <= most_cells, "factors", "cells", formatted("{} at most", most_cells),
                         [&] { return fmt::format("{} or more", cells.size()); });
  }
  return cells;
}

const known_factor& factor_named(std::string_view list, std::string_view item) {
  const known_factor* factor = find_factor(item.substr(0, item.find(':')));
  if (factor == nullptr) {
    std::vector<std::string_view> names;
    for (const known_factor& each : listed_factors()) {
      names.push_back(each.name);
    }
    refuse_factor(list, item, fmt::format("one of {}", fmt::join(names, ", ")));
  }
  return *factor;
}

/// Reads one factor and its levels. @param list that the item is a part of, for complaints
condition_factor read_factor(std::string_view list, std::string_view item, const condition_registry& known) {
  const std::size_t colon = std::min(item.find(':'), item.size());
  const known_factor& factor = factor_named(list, item);
  condition_factor chosen{std::string(factor.name), {}};
  if (colon == item.size()) {
    for (const known_level& level : factor.levels) {
      chosen.levels.emplace_back(level.name);
    }
  }
  for (const std::string_view level :
       colon == item.size() ? std::vector<std::string_view>{} : detail::split(item.substr(colon + 1), '/')) {
    if (!words_of(factor, level, known)) {
      refuse_factor(list, level, fmt::format("of {} one of {}", factor.name, levels_text(factor)));
    }
    if (std::ranges::find(chosen.levels, level) != chosen.levels.end()) {
      refuse_factor(list, level, "every level once");
    }
    chosen.levels.emplace_back(level);
  }
  if (chosen.levels.size() < 2) {
    refuse_factor(list, item, "two levels or more, parted by slashes");
  }
  return chosen;
}

/// Whether the last level of an item is a policy with an argument.
bool ends_with_argument(std::string_view item) {
  const std::size_t colon = item.find(':');
  return colon != item.npos && item.find(':', std::max(colon, item.rfind('/') + 1) + 1) != item.npos;
}

/// The items of a list of factors, commas inside policies left to these.
std::vector<std::string_view> factor_items(std::string_view list, const condition_registry& known) {
  return detail::list_items(
      list, {.list_name = "factors",
             .item_name = "factor",
             .begins = [](std::string_view piece) { return find_factor(piece.substr(0, piece.find(':'))) != nullptr; },
             .ends_open = ends_with_argument,
             .is_item =
                 [&](std::string_view item) {
                   try {
                     return static_cast<void>(read_factor(list, item, known)), true;
                   } catch (const value_error&) {
                     return false;
                   }
                 }});
}

}  // namespace

std::string crossing_text(const std::map<std::string, std::string>& levels) {
  std::vector<std::string> all;
  for (const auto& [factor, level] : levels) {
    all.push_back(fmt::format("{}={}", factor, level));
  }
  return fmt::format("{}", fmt::join(all, ", "));
}

std::vector<std::string> known_factors() {
  std::vector<std::string> all;
  for (const known_factor& factor : listed_factors()) {
    all.push_back(fmt::format("{}:{}", factor.name, levels_text(factor)));
  }
  return all;
}

std::vector<condition_factor> parse_factors(std::string_view list, const condition_registry& known) {
  std::vector<condition_factor> factors;
  for (const std::string_view item : factor_items(list, known)) {
    condition_factor factor = read_factor(list, item, known);
    if (std::ranges::find(factors, factor.name, &condition_factor::name) != factors.end()) {
      refuse_factor(list, item, "every factor once");
    }
    factors.push_back(std::move(factor));
  }
  return factors;
}

factorial_conditions full_factorial(const std::vector<condition_factor>& factors, const condition_registry& known) {
  factorial_conditions all;
  const any_condition base = conditions::transfer();
  for (const crossing& cell : all_crossings(factors, known)) {
    try {
      const any_condition made =
          cell.words.empty() ? base : known.parse_one(fmt::format("{}+{}", base.describe().id, cell.words));
      condition_description named = made.describe();
      named.factors = cell.levels;
      all.conditions.push_back(detail::described(made, std::move(named)));
    } catch (const meaningless_condition& why) {
      all.left_out.push_back({crossing_text(cell.levels), why.reason()});
    }
  }
  return all;
}

std::vector<any_condition> united(const std::vector<any_condition>& first, const std::vector<any_condition>& second) {
  std::vector<any_condition> all = first;
  for (const any_condition& more : second) {
    condition_description named = more.describe();
    const auto same =
        std::ranges::find_if(all, [&](const any_condition& each) { return each.describe().id == named.id; });
    if (same == all.end()) {
      all.push_back(more);
      continue;
    }
    condition_description both = same->describe();
    both.factors.insert(named.factors.begin(), named.factors.end());
    *same = detail::described(*same, std::move(both));
  }
  return all;
}

}  // namespace kvtransfer
