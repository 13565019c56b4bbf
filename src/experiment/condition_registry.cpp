#include "kvtransfer/experiment/condition_registry.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

#include "experiment/list_items.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/condition_point.hpp"
#include "kvtransfer/experiment/conditions.hpp"

namespace kvtransfer {

namespace {

constexpr std::string_view matrix = "matrix";
constexpr std::string_view controls = "controls";

/// What stands in front of a mark, and what behind it; all of a text that has none.
std::pair<std::string_view, std::optional<std::string_view>> cut_at(std::string_view text, char mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) {
    return {text, std::nullopt};
  }
  return {text.substr(0, at), text.substr(at + 1)};
}

bool names_group(std::string_view name) { return name == "all" || name == matrix || name == controls; }

}  // namespace

condition_registry condition_registry::standard() {
  condition_registry registry;
  for (any_condition each :
       {conditions::baseline(), conditions::text_oracle(), conditions::same_cache(), conditions::noise(),
        conditions::transfer(), conditions::as_reported_same_cache(), conditions::as_reported_transfer()}) {
    registry.add_to(std::string(matrix), std::move(each));
  }
  for (any_condition each :
       {conditions::oracle_split(), conditions::other_source(), conditions::zero(), conditions::noise_sink_kept(),
        conditions::shuffled_tokens(), conditions::shuffled_layers(), conditions::shuffled_heads(),
        conditions::shuffled_slots()}) {
    registry.add_to(std::string(controls), std::move(each));
  }
  for (const auto& [name, condition] : conditions::projections()) {
    registry.add(name, "FOLDER[@MODEL]", condition);
  }
  registry.add("from_files", "DIR", [](const std::string& folder) { return conditions::from_files(folder); });
  return registry;
}

void condition_registry::add(any_condition condition) { add_to({}, std::move(condition)); }

void condition_registry::add(std::string name, std::string argument, maker make) {
  conditions_.add(std::move(name), {std::move(make), std::move(argument), {}});
}

void condition_registry::add_to(std::string group, any_condition condition) {
  std::string id = condition.describe().id;
  const auto make = [condition = std::move(condition)](const std::string&) { return condition; };
  conditions_.add(std::move(id), {make, {}, std::move(group)});
}

std::vector<std::string> condition_registry::ids() const {
  std::vector<std::string> all;
  for (const auto& each : conditions_) {
    if (each.make.argument.empty()) {
      all.push_back(each.name);
    }
  }
  return all;
}

std::vector<std::string> condition_registry::spellings() const {
  std::vector<std::string> all;
  for (const auto& each : conditions_) {
    all.push_back(each.make.argument.empty() ? each.name : fmt::format("{}:{}", each.name, each.make.argument));
  }
  return all;
}

std::size_t condition_registry::index_of(std::string_view name) const {
  const auto found =
      std::find_if(conditions_.begin(), conditions_.end(), [&](const auto& each) { return each.name == name; });
  if (found == conditions_.end()) {
    fail<value_error>("conditions", "name",
                      fmt::format("all, {}, {}, or some of {}", matrix, controls, fmt::join(spellings(), ", ")),
                      fmt::format("\"{}\"", name));
  }
  return static_cast<std::size_t>(found - conditions_.begin());
}

any_condition condition_registry::with_suffix(const any_condition& base, std::string_view suffix) const {
  const condition_description named = base.describe();
  const auto point = base.point();
  require<value_error>(
      point != nullptr, "conditions", [&] { return fmt::format("{}+{}", named.id, suffix); },
      "a condition that injects a cache in front of the plus sign", named.id);
  condition_point moved = moved_point(*point, suffix, policies_);
  condition_point fresh;  // what the text itself says, in its plain spelling
  fresh.files = point->files;
  fresh.projection = point->projection;
  return at_point(std::move(moved), named, text_of(moved_point(std::move(fresh), suffix, policies_)));
}

any_condition condition_registry::parse_one(std::string_view text) const {
  const auto [base, suffix] = cut_at(text, '+');
  const auto [name, given] = cut_at(base, ':');
  const entry& found = (conditions_.begin() + static_cast<std::ptrdiff_t>(index_of(name)))->make;
  const std::string argument(given.value_or(""));
  if (argument.empty() != found.argument.empty()) {
    fail<value_error>("conditions", name,
                      found.argument.empty() ? "no argument" : fmt::format("{}:{}", name, found.argument),
                      fmt::format("\"{}\"", base));
  }
  const any_condition condition = found.make(argument);
  return suffix ? with_suffix(condition, *suffix) : condition;
}

bool condition_registry::knows(std::string_view name) const {
  return names_group(name) || std::ranges::any_of(conditions_, [&](const auto& each) { return each.name == name; });
}

std::vector<std::string_view> condition_registry::items_of(std::string_view list) const {
  return detail::list_items(
      list, {.list_name = "conditions",
             .item_name = "condition",
             .begins = [this](std::string_view piece) { return knows(piece.substr(0, piece.find_first_of("+:"))); },
             .ends_open =
                 [](std::string_view item) {
                   const std::size_t last_policy = item.rfind('+');
                   return last_policy != item.npos && item.find(':', last_policy) != item.npos;
                 },
             .is_item =
                 [this](std::string_view item) {
                   try {
                     return names_group(item) || (static_cast<void>(parse_one(item)), true);
                   } catch (const error&) {
                     return false;
                   }
                 }});
}

std::vector<any_condition> condition_registry::parse(std::string_view list) const {
  std::vector<std::pair<std::size_t, any_condition>> chosen;
  const auto add = [&](std::size_t index, any_condition condition) {
    const std::string id = condition.describe().id;
    const bool known = std::ranges::any_of(chosen, [&](const auto& each) { return each.second.describe().id == id; });
    if (!known) {
      chosen.emplace_back(index, std::move(condition));
    }
  };
  for (const std::string_view piece : items_of(list)) {
    std::size_t index = 0;
    const bool is_group = names_group(piece);
    for (const auto& each : conditions_) {
      const bool named = piece == "all" ? each.make.argument.empty() : each.make.group == piece;
      if (is_group && named) {
        add(index, each.make.make({}));
      }
      ++index;
    }
    if (!is_group) {
      add(index_of(piece.substr(0, piece.find_first_of("+:"))), parse_one(piece));
    }
  }
  std::ranges::stable_sort(chosen, {}, [](const auto& each) { return each.first; });
  std::vector<any_condition> conditions;
  for (auto& [index, condition] : chosen) {
    conditions.push_back(std::move(condition));
  }
  return conditions;
}

}  // namespace kvtransfer
