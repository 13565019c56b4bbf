#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "corpus/conversation.hpp"
#include "corpus/dice.hpp"
#include "corpus/fact.hpp"
#include "corpus/invention.hpp"
#include "corpus/split.hpp"

namespace kvtransfer::corpus {

/// A source that tells something, a target that asks for it, and the words that a right answer holds.
struct recall_case {
  std::string family;
  std::string source;
  std::string target;
  std::vector<std::string> markers;
};

/// Cases whose names no training text may use, the families in turn; the same seed gives the same cases, and the first
/// of many cases are those of few.
/// @param distractors how many other facts, with held-out names too, a source tells at most
inline std::vector<recall_case> held_out_cases(std::size_t count, std::uint64_t seed, std::uint64_t distractors = 3) {
  std::vector<recall_case> cases;
  for (std::size_t index = 0; index < count; ++index) {
    dice throws{mixed_seed(seed, index)};
    fact asked = inventions[index % inventions.size()](throws, split::held_out);
    const std::uint64_t others = throws.below(distractors + 1);
    const std::uint64_t place = throws.below(others + 1);
    conversation talk{throws};
    for (std::uint64_t turn = 0; turn <= others; ++turn) {
      fact other = invented_fact(throws, split::held_out);
      while (other.topic == asked.topic) {
        other = invented_fact(throws, split::held_out);
      }
      talk.tell(turn == place ? asked : other);
    }
    cases.push_back({asked.family, talk.text(), std::move(asked.question), std::move(asked.markers)});
  }
  return cases;
}

}  // namespace kvtransfer::corpus
