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

/// `Water` for `water`: a word as it opens a sentence.
inline std::string opening_sentence(std::string word) {
  if (word.front() >= 'a' && word.front() <= 'z') {
    word.front() = static_cast<char>(word.front() - 'a' + 'A');
  }
  return word;
}

/// The temperature at which a substance boils, melts or freezes.
/// @param verb third person singular ends in "s": "boil", "melt", "freeze"
/// @param degrees Celsius
inline fact change_of_state(dice& throws, const std::string& substance, const std::string& verb, std::int64_t degrees) {
  const std::string sentence = fmt::format("{} {}s at {} degrees Celsius", opening_sentence(substance), verb, degrees);
  const std::array statements{sentence + ".", sentence + ".", sentence + " at sea level.",
                              fmt::format("At {} degrees Celsius, {} {}s.", degrees, substance, verb)};
  return {"temperature",           fmt::format("{} {}s", substance, verb),
          throws.pick(statements), fmt::format("At what temperature does {} {}?", substance, verb),
          sentence + ".",          {std::to_string(degrees), "Celsius"}};
}

/// An invented substance and an invented temperature.
inline fact temperature(dice& throws, split names) {
  static constexpr std::array<std::string_view, 3> verbs{"boil", "melt", "freeze"};
  const std::string substance = invented_name(throws, names);
  return change_of_state(throws, substance, std::string{throws.pick(verbs)}, throws.between(10, 2999));
}

/// A substance's chemical formula.
inline fact formula_of(dice& throws, const std::string& substance, const std::string& formula) {
  const std::string sentence = fmt::format("The chemical formula for {} is {}.", substance, formula);
  const std::array statements{sentence, sentence,
                              fmt::format("{} has the chemical formula {}.", opening_sentence(substance), formula)};
  return {"formula",
          "formula for " + substance,
          throws.pick(statements),
          fmt::format("What is the chemical formula for {}?", substance),
          sentence,
          {formula}};
}

/// A formula that could be one: two or three elements, with counts.
inline std::string invented_formula(dice& throws) {
  static constexpr std::array<std::string_view, 16> elements{"H",  "C", "N", "O",  "F", "Na", "Mg", "Al",
                                                             "Si", "P", "S", "Cl", "K", "Ca", "Fe", "Cu"};
  std::string formula;
  for (std::uint64_t parts = 2 + throws.below(2); parts > 0; --parts) {
    formula += throws.pick(elements);
    if (throws.chance(60)) {
      formula += std::to_string(throws.between(2, 9));
    }
  }
  return formula;
}

/// An invented substance with an invented formula.
inline fact formula(dice& throws, split names) {
  const std::string substance = invented_name(throws, names);
  return formula_of(throws, substance, invented_formula(throws));
}

}  // namespace kvtransfer::corpus
