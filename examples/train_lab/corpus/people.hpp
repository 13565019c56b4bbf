#pragma once

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>

#include "corpus/dice.hpp"
#include "corpus/fact.hpp"
#include "corpus/names.hpp"
#include "corpus/split.hpp"

namespace kvtransfer::corpus {

/// The speaker says who they are and where they live; asked for both, or for one of them.
inline fact speaker(dice& throws, split names) {
  const std::string name = invented_name(throws, names);
  const std::string city = invented_name(throws, names);
  const std::array statements{fmt::format("Hello, my name is {} and I live in {}.", name, city),
                              fmt::format("My name is {} and I live in {}.", name, city),
                              fmt::format("Hi, I am {} and I live in {}.", name, city),
                              fmt::format("I live in {} and my name is {}.", city, name)};
  fact told{"speaker", "the speaker", throws.pick(statements), {}, {}, {}};
  switch (throws.below(4)) {
    case 0:
      told.question = "What is your name?";
      told.answer = fmt::format("My name is {}.", name);
      told.markers = {name};
      break;
    case 1:
      told.question = "Where do you live?";
      told.answer = fmt::format("I live in {}.", city);
      told.markers = {city};
      break;
    default:
      told.question = "What is your name and where do you live?";
      told.answer = fmt::format("My name is {} and I live in {}.", name, city);
      told.markers = {name, city};
  }
  return told;
}

/// Somebody else's home; asked for the place by the person, or for the person by the place.
inline fact home(dice& throws, split names) {
  const std::string name = invented_name(throws, names);
  const std::string city = invented_name(throws, names);
  const std::array statements{fmt::format("{} lives in {}.", name, city),
                              fmt::format("The home of {} is in {}.", name, city),
                              fmt::format("My friend {} lives in {}.", name, city)};
  const std::string answer = fmt::format("{} lives in {}.", name, city);
  if (throws.chance(50)) {
    return {"home", name, throws.pick(statements), fmt::format("Where does {} live?", name), answer, {city}};
  }
  return {"home", name, throws.pick(statements), fmt::format("Who lives in {}?", city), answer, {name}};
}

/// A person's age in years.
inline fact age(dice& throws, split names) {
  const std::string name = invented_name(throws, names);
  const std::int64_t years = throws.between(3, 99);
  return {"age",
          name,
          fmt::format("{} is {} years old.", name, years),
          fmt::format("How old is {}?", name),
          fmt::format("{} is {} years old.", name, years),
          {std::to_string(years)}};
}

/// A person's work.
inline fact work(dice& throws, split names) {
  static constexpr std::array<std::string_view, 20> trades{
      "a baker",  "a pilot",  "a teacher", "a farmer",  "a doctor", "a sailor",   "a painter",
      "a singer", "a lawyer", "a miner",   "a builder", "a writer", "a gardener", "a judge",
      "a dancer", "a tailor", "a smith",   "a cook",    "a guard",  "a fisher"};
  const std::string name = invented_name(throws, names);
  const std::string trade{throws.pick(trades)};
  const std::array statements{fmt::format("{} works as {}.", name, trade), fmt::format("{} is {}.", name, trade)};
  return {"work",
          name,
          throws.pick(statements),
          fmt::format("What is the work of {}?", name),
          fmt::format("{} works as {}.", name, trade),
          {trade.substr(2)}};
}

/// The colour of a person's belonging.
inline fact colour(dice& throws, split names) {
  static constexpr std::array<std::string_view, 14> colours{"red",    "blue",   "green",  "yellow", "black",
                                                            "white",  "brown",  "orange", "pink",   "grey",
                                                            "purple", "golden", "silver", "violet"};
  static constexpr std::array<std::string_view, 16> things{"boat",  "house",  "coat",    "hat",   "car", "door",
                                                           "horse", "garden", "book",    "chair", "bag", "lamp",
                                                           "tower", "cup",    "bicycle", "flag"};
  const std::string owner = invented_name(throws, names);
  const std::string shade{throws.pick(colours)};
  const std::string thing{throws.pick(things)};
  const std::array statements{fmt::format("The {} of {} is {}.", thing, owner, shade),
                              fmt::format("{} has a {} that is {}.", owner, thing, shade)};
  return {"colour",
          owner,
          throws.pick(statements),
          fmt::format("What colour is the {} of {}?", thing, owner),
          fmt::format("The {} of {} is {}.", thing, owner, shade),
          {shade}};
}

/// A journey between two cities; asked for its end or for the means of travel.
inline fact travel(dice& throws, split names) {
  static constexpr std::array<std::string_view, 10> vehicles{"train",   "ship",  "car",  "bus",  "plane",
                                                             "bicycle", "horse", "sled", "boat", "balloon"};
  const std::string name = invented_name(throws, names);
  const std::string start = invented_name(throws, names);
  const std::string end = invented_name(throws, names);
  const std::string vehicle{throws.pick(vehicles)};
  const std::array statements{fmt::format("{} travelled from {} to {} by {}.", name, start, end, vehicle),
                              fmt::format("{} went by {} from {} to {}.", name, vehicle, start, end)};
  if (throws.chance(60)) {
    return {"travel",
            name,
            throws.pick(statements),
            fmt::format("Where did {} travel to?", name),
            fmt::format("{} travelled to {}.", name, end),
            {end}};
  }
  return {"travel",
          name,
          throws.pick(statements),
          fmt::format("How did {} travel?", name),
          fmt::format("{} travelled by {}.", name, vehicle),
          {vehicle}};
}

}  // namespace kvtransfer::corpus
