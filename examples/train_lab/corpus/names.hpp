#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "corpus/dice.hpp"
#include "corpus/reserved_names.hpp"
#include "corpus/split.hpp"

namespace kvtransfer::corpus {

/// Spellings that invented names are put together from: consonants, vowels, and what closes a name.
///
/// Wide on purpose. A model that must repeat a name it has never seen has to have met, in other names, any letter after
/// nearly any other.
namespace spelling {
inline constexpr std::array<std::string_view, 54> openings{
    "b",  "c",  "d",  "f",  "g",  "h",  "j",  "k",  "l",  "m",  "n",  "p",  "qu", "r",  "s",  "t",  "v",  "w",
    "x",  "y",  "z",  "bl", "br", "ch", "cl", "cr", "dr", "fl", "fr", "gl", "gr", "kh", "kl", "kr", "ly", "mc",
    "ph", "pl", "pr", "rh", "sc", "sh", "sk", "sl", "sm", "sn", "sp", "st", "sv", "th", "tr", "tw", "vl", "zh"};
inline constexpr std::array<std::string_view, 36> vowels{
    "a", "e", "i", "o", "u",  "y",  "a",  "e",  "i",  "o",  "u",  "a",  "e",  "i",  "o",  "u",  "a",  "e",
    "i", "o", "a", "e", "ae", "ai", "au", "ea", "ee", "ei", "ia", "ie", "io", "oa", "oo", "ou", "ua", "ue"};
inline constexpr std::array<std::string_view, 48> middles{
    "b",  "c",  "d",  "f",  "g",  "h",  "j",  "k",  "l",  "m",  "n",  "p",  "r",   "s",   "t",   "v",
    "w",  "x",  "y",  "z",  "bb", "ck", "dd", "ff", "gg", "ll", "mm", "nn", "pp",  "rr",  "ss",  "tt",
    "ld", "lt", "mb", "mp", "nd", "ng", "nt", "ph", "rk", "rn", "st", "th", "ndr", "str", "ttl", "zz"};
inline constexpr std::array<std::string_view, 40> endings{
    "",   "",   "",    "",    "n",  "r",    "s",     "l",    "m",    "t",    "k",   "x",  "th", "sh",
    "ck", "ng", "nd",  "rt",  "le", "ra",   "na",    "us",   "is",   "on",   "in",  "ar", "or", "er",
    "yr", "el", "ham", "ton", "by", "ford", "ville", "burg", "stad", "mere", "don", "ia"};
}  // namespace spelling

/// One candidate name of two or three syllables, first letter upper case; may fall in either split or be reserved.
inline std::string spelled_name(dice& throws) {
  std::string name;
  if (throws.chance(85)) {
    name += throws.pick(spelling::openings);
  }
  name += throws.pick(spelling::vowels);
  for (std::uint64_t more = throws.chance(70) ? 1 : 2; more > 0; --more) {
    name += throws.pick(spelling::middles);
    name += throws.pick(spelling::vowels);
  }
  name += throws.pick(spelling::endings);
  name[0] = static_cast<char>(name[0] - 'a' + 'A');
  return name;
}

/// A name that nobody bears, of the wanted split, at least four letters, free of reserved names. People, cities,
/// rivers, planets and metals are all called so.
inline std::string invented_name(dice& throws, split wanted) {
  constexpr std::size_t shortest = 4;
  while (true) {
    std::string name = spelled_name(throws);
    if (name.size() >= shortest && split_of(name) == wanted && !holds_reserved_name(name)) {
      return name;
    }
  }
}

}  // namespace kvtransfer::corpus
