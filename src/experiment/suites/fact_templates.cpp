#include "experiment/suites/fact_templates.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <map>

namespace kvtransfer::detail {

namespace {

/// What a template's braces stand for.
using fillings = std::map<std::string, std::string, std::less<>>;

/// A number that ends in 4 to 9, but for the teens: its ordinal ends in "th".
std::uint64_t office_number(invention& draws) { return 10 * draws.between(2, 9) + draws.between(4, 9); }

std::string chemical_formula(invention& draws) {
  static constexpr std::array<std::string_view, 10> elements{"H", "C", "N", "O", "F", "Na", "Mg", "P", "S", "Cl"};
  const std::string first = draws.pick(elements);
  std::string second = first;
  while (second == first) {
    second = draws.pick(elements);
  }
  return fmt::format("{}{}{}{}", first, draws.between(2, 9), second, draws.between(2, 9));
}

fillings draw_fillings(invention& draws) {
  static constexpr std::array<std::string_view, 16> trades{
      "baker",  "pilot", "teacher", "farmer", "doctor",   "sailor", "painter", "singer",
      "lawyer", "miner", "builder", "writer", "gardener", "judge",  "dancer",  "tailor"};
  static constexpr std::array<std::string_view, 12> colours{"red",   "blue",   "green", "yellow", "black",  "white",
                                                            "brown", "orange", "pink",  "grey",   "purple", "silver"};
  static constexpr std::array<std::string_view, 12> things{"boat",  "house",  "coat",  "hat", "car",  "door",
                                                           "horse", "garden", "chair", "bag", "lamp", "tower"};
  static constexpr std::array<std::string_view, 8> vehicles{"train", "ship", "car",   "bus",
                                                            "plane", "boat", "horse", "bicycle"};
  static constexpr std::array<std::string_view, 9> planets{"Mercury", "Venus",   "Mars",  "Jupiter", "Saturn",
                                                           "Uranus",  "Neptune", "Pluto", "Titan"};
  static constexpr std::array<std::string_view, 12> materials{"glass", "gold",  "ice",  "stone", "silver", "wood",
                                                              "sand",  "paper", "silk", "salt",  "iron",   "snow"};
  static constexpr std::array<std::string_view, 10> dwellers{"princess", "prince", "queen", "king",  "dragon",
                                                             "knight",   "wizard", "giant", "witch", "dwarf"};
  fillings drawn;
  for (const char* who : {"x", "y", "z"}) {
    drawn[who] = draws.name();
  }
  drawn["years"] = fmt::format("{}", draws.between(20, 99));
  drawn["trade"] = draws.pick(trades);
  drawn["colour"] = draws.pick(colours);
  drawn["thing"] = draws.pick(things);
  drawn["vehicle"] = draws.pick(vehicles);
  drawn["office"] = fmt::format("{}", office_number(draws));
  drawn["planet"] = draws.pick(planets);
  drawn["material"] = draws.pick(materials);
  drawn["dweller"] = draws.pick(dwellers);
  drawn["degrees"] = fmt::format("{}", draws.between(110, 989));
  drawn["formula"] = chemical_formula(draws);
  return drawn;
}

std::string filled(std::string_view wording, const fillings& drawn) {
  std::string text;
  for (std::size_t at = 0; at < wording.size(); ++at) {
    if (wording[at] != '{') {
      text += wording[at];
      continue;
    }
    const std::size_t end = wording.find('}', at);
    text += drawn.find(wording.substr(at + 1, end - at - 1))->second;
    at = end;
  }
  return text;
}

}  // namespace

std::string as_sentence(std::string text) {
  if (!text.empty() && text.front() >= 'a' && text.front() <= 'z') {
    text.front() = static_cast<char>(text.front() - 'a' + 'A');
  }
  return text;
}

invented_fact invent(const fact_template& wording, invention& draws) {
  const fillings drawn = draw_fillings(draws);
  fillings other = draw_fillings(draws);
  const std::string asked(wording.asked);
  while (other.at(asked) == drawn.at(asked)) {
    other = draw_fillings(draws);
  }
  invented_fact made;
  made.statement = filled(wording.statement, drawn);
  made.question = filled(wording.question, drawn);
  made.answer = drawn.at(asked);
  made.foil = other.at(asked);
  if (!wording.beginning.empty()) {
    made.beginning = filled(wording.beginning, drawn);
    made.reply = as_sentence(fmt::format("{} {}{}", made.beginning, made.answer, wording.end));
  }
  return made;
}

}  // namespace kvtransfer::detail
