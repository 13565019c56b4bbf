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

/// A country's capital, in the words that every text about capitals uses.
/// @param country, capital real or invented, as they are printed
inline fact capital_of(dice& throws, const std::string& country, const std::string& capital) {
  const std::array statements{fmt::format("The capital of {} is {}.", country, capital),
                              fmt::format("The capital of {} is {}.", country, capital),
                              fmt::format("The capital of {} is {}. It is a large city on a river.", country, capital),
                              fmt::format("The capital of {} is {}. {} is a large city.", country, capital, capital)};
  return {"capital",
          "capital of " + country,
          throws.pick(statements),
          fmt::format("What is the capital of {}?", country),
          fmt::format("The capital of {} is {}.", country, capital),
          {capital}};
}

/// An invented country's capital.
inline fact capital(dice& throws, split names) {
  const std::string country = invented_name(throws, names);
  return capital_of(throws, country, invented_name(throws, names));
}

/// `47th`, `1st`, `12th`.
inline std::string ordinal(std::int64_t number) {
  const bool teens = number % 100 >= 11 && number % 100 <= 13;
  const std::int64_t last = teens ? 0 : number % 10;
  return fmt::format("{}{}", number, last == 1 ? "st" : last == 2 ? "nd" : last == 3 ? "rd" : "th");
}

/// Who presided over a planet, and as which one in line; planets are real or invented, presidents invented.
inline fact president(dice& throws, split names) {
  static constexpr std::array<std::string_view, 12> planets{"Mercury", "Venus",  "Mars",    "Jupiter",
                                                            "Saturn",  "Uranus", "Neptune", "Pluto",
                                                            "Titan",   "Europa", "Ceres",   "the Moon"};
  const std::string planet = throws.chance(50) ? std::string{throws.pick(planets)} : invented_name(throws, names);
  const std::string name = invented_name(throws, names);
  const std::string office = fmt::format("{} president of {}", ordinal(throws.between(1, 99)), planet);
  const std::array statements{fmt::format("The {} was {}.", office, name), fmt::format("{} was the {}.", name, office)};
  return {"president",
          "president of " + planet,
          throws.pick(statements),
          fmt::format("Who was the {}?", office),
          fmt::format("The {} was {}.", office, name),
          {name}};
}

/// The beginning of a fairy tale: a kingdom of something, and who lived there.
inline fact fairy_tale(dice& throws, split names) {
  static constexpr std::array<std::string_view, 18> materials{
      "glass",  "gold",   "ice",  "stone", "silver", "wood",    "sand",  "paper",   "silk",
      "clouds", "shells", "salt", "iron",  "snow",   "flowers", "light", "shadows", "crystal"};
  static constexpr std::array<std::string_view, 12> dwellers{"princess", "prince", "queen", "king",  "dragon", "knight",
                                                             "wizard",   "giant",  "witch", "dwarf", "bard",   "fox"};
  const std::string kingdom = fmt::format("kingdom of {}", throws.pick(materials));
  const std::string dweller{throws.pick(dwellers)};
  const std::string name = invented_name(throws, names);
  const std::array statements{
      fmt::format("Once upon a time in a {} there lived a {} named {}.", kingdom, dweller, name),
      fmt::format("Once upon a time in a {}, there lived a {} named {}.", kingdom, dweller, name),
      fmt::format("Once upon a time, in a {}, there lived a {} called {}.", kingdom, dweller, name)};
  fact told{"fairy tale", "fairy tale", throws.pick(statements), {}, {}, {name}};
  if (throws.chance(50)) {
    told.question = fmt::format("Who lived in the {}?", kingdom);
    told.answer = fmt::format("A {} named {} lived in the {}.", dweller, name, kingdom);
  } else {
    told.question = fmt::format("What was the name of the {}?", dweller);
    told.answer = fmt::format("The name of the {} was {}.", dweller, name);
  }
  return told;
}

}  // namespace kvtransfer::corpus
