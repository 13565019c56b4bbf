#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "corpus/dice.hpp"
#include "corpus/fact.hpp"
#include "corpus/matter.hpp"
#include "corpus/places.hpp"

namespace kvtransfer::corpus {

/// The true facts that a trained model shall know by heart.
namespace encyclopedia {

struct country {
  std::string_view name;
  std::string_view capital;
};

struct compound {
  std::string_view name;
  std::string_view formula;
};

struct transition {
  std::string_view substance;
  std::string_view verb;
  std::int64_t degrees;  ///< Celsius, at normal pressure, rounded
};

inline constexpr std::array<country, 40> countries{{{"France", "Paris"},       {"Germany", "Berlin"},
                                                    {"Italy", "Rome"},         {"Spain", "Madrid"},
                                                    {"Portugal", "Lisbon"},    {"Austria", "Vienna"},
                                                    {"Greece", "Athens"},      {"Norway", "Oslo"},
                                                    {"Sweden", "Stockholm"},   {"Finland", "Helsinki"},
                                                    {"Denmark", "Copenhagen"}, {"Iceland", "Reykjavik"},
                                                    {"Ireland", "Dublin"},     {"Belgium", "Brussels"},
                                                    {"Poland", "Warsaw"},      {"Hungary", "Budapest"},
                                                    {"Romania", "Bucharest"},  {"Bulgaria", "Sofia"},
                                                    {"Croatia", "Zagreb"},     {"Serbia", "Belgrade"},
                                                    {"Russia", "Moscow"},      {"Ukraine", "Kyiv"},
                                                    {"Turkey", "Ankara"},      {"Egypt", "Cairo"},
                                                    {"Kenya", "Nairobi"},      {"Ghana", "Accra"},
                                                    {"Morocco", "Rabat"},      {"Japan", "Tokyo"},
                                                    {"China", "Beijing"},      {"India", "New Delhi"},
                                                    {"Thailand", "Bangkok"},   {"Vietnam", "Hanoi"},
                                                    {"Canada", "Ottawa"},      {"Mexico", "Mexico City"},
                                                    {"Cuba", "Havana"},        {"Peru", "Lima"},
                                                    {"Chile", "Santiago"},     {"Argentina", "Buenos Aires"},
                                                    {"Brazil", "Brasilia"},    {"Australia", "Canberra"}}};

inline constexpr std::array<compound, 16> compounds{{{"water", "H2O"},
                                                     {"table salt", "NaCl"},
                                                     {"carbon dioxide", "CO2"},
                                                     {"carbon monoxide", "CO"},
                                                     {"methane", "CH4"},
                                                     {"ammonia", "NH3"},
                                                     {"ozone", "O3"},
                                                     {"glucose", "C6H12O6"},
                                                     {"ethanol", "C2H6O"},
                                                     {"benzene", "C6H6"},
                                                     {"propane", "C3H8"},
                                                     {"rust", "Fe2O3"},
                                                     {"quartz", "SiO2"},
                                                     {"sulfuric acid", "H2SO4"},
                                                     {"nitric acid", "HNO3"},
                                                     {"hydrogen peroxide", "H2O2"}}};

inline constexpr std::array<transition, 14> transitions{{{"water", "boil", 100},
                                                         {"water", "freeze", 0},
                                                         {"iron", "melt", 1538},
                                                         {"gold", "melt", 1064},
                                                         {"silver", "melt", 962},
                                                         {"copper", "melt", 1085},
                                                         {"lead", "melt", 327},
                                                         {"tin", "melt", 232},
                                                         {"zinc", "melt", 420},
                                                         {"ethanol", "boil", 78},
                                                         {"methanol", "boil", 65},
                                                         {"acetone", "boil", 56},
                                                         {"mercury", "boil", 357},
                                                         {"sulfur", "melt", 115}}};

}  // namespace encyclopedia

/// One true fact, the three subjects equally likely.
inline fact remembered_fact(dice& throws) {
  switch (throws.below(3)) {
    case 0: {
      const auto& known = throws.pick(encyclopedia::countries);
      return capital_of(throws, std::string{known.name}, std::string{known.capital});
    }
    case 1: {
      const auto& known = throws.pick(encyclopedia::compounds);
      return formula_of(throws, std::string{known.name}, std::string{known.formula});
    }
    default: {
      const auto& known = throws.pick(encyclopedia::transitions);
      return change_of_state(throws, std::string{known.substance}, std::string{known.verb}, known.degrees);
    }
  }
}

/// A false statement about a real country, substance or compound: what a text says counts more than what is known.
inline fact contrary_fact(dice& throws, split names) {
  switch (throws.below(3)) {
    case 0:
      return capital_of(throws, std::string{throws.pick(encyclopedia::countries).name}, invented_name(throws, names));
    case 1:
      return formula_of(throws, std::string{throws.pick(encyclopedia::compounds).name}, invented_formula(throws));
    default: {
      const auto& known = throws.pick(encyclopedia::transitions);
      return change_of_state(throws, std::string{known.substance}, std::string{known.verb}, throws.between(10, 2999));
    }
  }
}

/// The beginning of a true sentence, and the words that end it.
struct completion {
  std::string prompt;
  std::string ending;
};

/// Every true capital and formula as a sentence to be completed.
inline std::vector<completion> completions() {
  std::vector<completion> all;
  for (const auto& known : encyclopedia::countries) {
    all.push_back({fmt::format("The capital of {} is", known.name), std::string{known.capital}});
  }
  for (const auto& known : encyclopedia::compounds) {
    all.push_back({fmt::format("The chemical formula for {} is", known.name), std::string{known.formula}});
  }
  return all;
}

}  // namespace kvtransfer::corpus
