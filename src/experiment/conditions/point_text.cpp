#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "experiment/conditions/point_words.hpp"
#include "experiment/conditions/source_projection.hpp"  // IWYU pragma: keep (condition_point.hpp declares it only)
#include "experiment/text_lists.hpp"
#include "kvtransfer/core/enum_names.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/condition_point.hpp"

namespace kvtransfer {

namespace {

/// The words that are no policies, as help and complaints list them.
constexpr std::array<std::string_view, 10> point_word_list{"cache:",
                                                           "control:",
                                                           "cache_precision:",
                                                           "rerotated",
                                                           "visible:",
                                                           "second_bos",
                                                           "prompt:",
                                                           "form:",
                                                           "assume_same_weights",
                                                           "assume_unknown_origin"};

/// Whether a policy that is not all of them is among those of a point.
bool has_policy(const condition_point& point, std::string_view name) {
  const std::string text = point.policy.text();
  return std::ranges::any_of(detail::split(text, '+'),
                             [&](std::string_view piece) { return piece.substr(0, piece.find(':')) == name; });
}

[[noreturn]] void refuse(std::string_view text, std::string_view place, std::string_view expected) {
  fail<value_error>(fmt::format("conditions \"{}\"", text), fmt::format("character {}", place.data() - text.data() + 1),
                    expected, place.empty() ? std::string("nothing") : fmt::format("\"{}\"", place));
}

/// Reads one of a list of words into a coordinate that has no other value yet.
template <class Enum, std::size_t Count>
void read_word(std::string_view text, std::string_view argument, const std::array<std::string_view, Count>& words,
               Enum& value) {
  const auto found = value_named<Enum>(words, argument);
  if (!found) {
    refuse(text, argument, fmt::format("one of {}", fmt::join(words, ", ")));
  }
  value = *found;
}

void read_form(std::string_view text, std::string_view argument, std::string& form) {
  if (argument != "raw" && argument != "chat") {
    refuse(text, argument, "raw or chat");
  }
  form = argument;
}

/// Takes a word that is no policy. @return whether it is one
bool read_point_word(condition_point& point, std::string_view text, std::string_view piece) {
  const std::size_t colon = std::min(piece.find(':'), piece.size());
  const std::string_view name = piece.substr(0, colon);
  const std::string_view argument = piece.substr(std::min(colon + 1, piece.size()));
  const bool alone = colon == piece.size();
  if (name == "cache") {
    read_word(text, argument, detail::moment_words, point.taken);
  } else if (name == "control") {
    read_word(text, argument, detail::control_words, point.control);
  } else if (name == "cache_precision") {
    read_word(text, argument, detail::precision_words, point.precision);
  } else if (name == "visible") {
    read_word(text, argument, detail::visibility_words, point.visible);
  } else if (name == "prompt") {
    read_word(text, argument, detail::prompt_words, point.prompt);
  } else if (name == "form") {
    read_form(text, argument, point.prompt_form);
  } else if (alone && name == "rerotated") {
    point.rerotated = true;
  } else if (alone && name == "second_bos") {
    point.second_bos = true;
  } else if (alone && name == "assume_same_weights") {
    point.accepted_origin = origin_basis::same_weights;
  } else if (alone && name == "assume_unknown_origin") {
    point.accepted_origin = origin_basis::unknown_origin;
  } else {
    return false;
  }
  return true;
}

std::vector<std::string> policy_names(const injection_policy_registry& known) {
  std::vector<std::string> names;
  for (const std::string& example : known.examples()) {
    names.push_back(example.substr(0, example.find(':')));
  }
  return names;
}

/// What a cache holds, or where its keys stand, is not the default.
bool changes_keys_or_values(const condition_point& point) {
  const bool policies = !point.policy.roles().empty() || point.policy.text() != "all";
  return point.control != cache_control::none || point.precision != cache_precision::run || point.rerotated ||
         (policies && point.policy.kind() != policy_kind::places_text);
}

}  // namespace

meaningless_condition::meaningless_condition(std::string_view text, std::string reason)
    : value_error(fmt::format("conditions: {}: expected words that are an experiment together, got a crossing where {}",
                              text, reason)),
      reason_(std::move(reason)) {}

std::string text_of(const condition_point& point) {
  std::vector<std::string> words;
  const auto add = [&](bool changed, std::string word) {
    if (changed) {
      words.push_back(std::move(word));
    }
  };
  add(point.prompt != cached_prompt::source, fmt::format("prompt:{}", name_of(detail::prompt_words, point.prompt)));
  add(point.taken != cache_moment::prompt, fmt::format("cache:{}", name_of(detail::moment_words, point.taken)));
  add(point.control != cache_control::none, fmt::format("control:{}", name_of(detail::control_words, point.control)));
  add(point.precision != cache_precision::run,
      fmt::format("cache_precision:{}", name_of(detail::precision_words, point.precision)));
  add(point.rerotated, "rerotated");
  add(point.policy.text() != "all", point.policy.text());
  add(point.visible != cache_visibility::shown,
      fmt::format("visible:{}", name_of(detail::visibility_words, point.visible)));
  add(point.second_bos, "second_bos");
  add(!point.prompt_form.empty(), "form:" + point.prompt_form);
  add(point.accepted_origin == origin_basis::same_weights, "assume_same_weights");
  add(point.accepted_origin == origin_basis::unknown_origin, "assume_unknown_origin");
  return fmt::format("{}", fmt::join(words, "+"));
}

condition_point moved_point(condition_point base, std::string_view text, const injection_policy_registry& known) {
  const std::vector<std::string> names = policy_names(known);
  any_injection_policy policies = base.policy;
  for (const std::string_view piece : detail::split(text, '+')) {
    if (read_point_word(base, text, piece)) {
      continue;
    }
    if (std::ranges::find(names, piece.substr(0, piece.find(':'))) == names.end()) {
      refuse(text, piece, fmt::format("one of {}, {}", fmt::join(point_word_list, ", "), fmt::join(names, ", ")));
    }
    policies = policies.followed_by(known.parse(piece));
  }
  base.policy = std::move(policies);
  if (const auto why = meaningless_crossing(base)) {
    throw meaningless_condition(text, *why);
  }
  return base;
}

std::optional<std::string> meaningless_crossing(const condition_point& point) {
  if (point.visible == cache_visibility::hidden && changes_keys_or_values(point)) {
    return "nothing of the cache is seen, so it does not matter what it holds";
  }
  if (point.rerotated && (has_policy(point, "restart") || has_policy(point, "at"))) {
    return "the keys stand further on and the text does not follow them: that is shift, with a size of its own";
  }
  if (point.rerotated && (has_policy(point, "unrotated") || has_policy(point, "closed"))) {
    return "the keys are taken somewhere else at once";
  }
  if (point.control == cache_control::zero && (point.precision != cache_precision::run || point.rerotated ||
                                               has_policy(point, "unrotated") || has_policy(point, "shift"))) {
    return "zeros are zeros in any precision and at any position";
  }
  if (point.prompt == cached_prompt::target &&
      (point.control == cache_control::other_source || point.files.has_value())) {
    return "the cache is the target's own, for which nothing of another source stands in";
  }
  if (point.files && (point.taken != cache_moment::prompt || point.control == cache_control::shuffled_tokens)) {
    return "a file holds the text that it holds";
  }
  if (point.projection != nullptr && point.projection->has_sharer() && point.taken != cache_moment::prompt) {
    return "another model's cache is projected, and that of its prompt alone";
  }
  if (!point.files && point.accepted_origin != origin_basis::recorded) {
    return "the model's own caches need nothing assumed";
  }
  return std::nullopt;
}

}  // namespace kvtransfer
