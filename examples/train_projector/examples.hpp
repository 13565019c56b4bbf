#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "corpus/conversation.hpp"
#include "corpus/dice.hpp"
#include "corpus/encyclopedia.hpp"
#include "corpus/invention.hpp"
#include "corpus/split.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::train_projector {

/// What the source reads, what the receiver is asked, and the right response.
struct example {
  std::string source;
  std::string question;  ///< empty where the response goes straight on from the source
  std::string response;
  std::vector<std::string> markers;  ///< words that a right response holds
};

/// Between one and four facts with invented names of `names`, and a question: one that only these facts answer, or one
/// that the receiver answers without them, since it is of another fact ("I do not know.").
/// @param percent_needed how often of 100 the source is needed
inline example fact_example(std::uint64_t seed, corpus::split names, std::int64_t percent_needed) {
  corpus::dice throws{seed};
  corpus::conversation talk{throws};
  for (std::uint64_t count = 1 + throws.below(4); count > 0; --count) {
    talk.tell(corpus::invented_fact(throws, names));
  }
  if (throws.chance(static_cast<std::uint64_t>(percent_needed))) {
    const corpus::fact& asked = throws.pick(talk.told());
    return {talk.text(), asked.question, asked.answer, asked.markers};
  }
  corpus::fact unheard = corpus::invented_fact(throws, names);
  while (talk.has_told(unheard.topic)) {
    unheard = corpus::invented_fact(throws, names);
  }
  return {talk.text(), unheard.question, corpus::unknown_answer, {"do not know"}};
}

/// A source in which two questions about facts that it never told are answered all the same, and a third such question;
/// the right response is that of a source that says it does not know: "I do not know."
/// Source: the suite `modes`, whose confabulating and grounded variants these are.
inline example mode_example(std::uint64_t seed, corpus::split names) {
  corpus::dice throws{seed};
  std::vector<corpus::fact> facts;
  while (facts.size() < 3) {
    corpus::fact unheard = corpus::invented_fact(throws, names);
    if (std::ranges::none_of(facts, [&](const corpus::fact& one) { return one.family == unheard.family; })) {
      facts.push_back(std::move(unheard));
    }
  }
  return {fmt::format("{} {} {} {}", facts[0].question, facts[0].answer, facts[1].question, facts[1].answer),
          facts[2].question,
          corpus::unknown_answer,
          {"do not know"}};
}

/// The lines of a file that are not empty. @throws file_error where there is none
inline std::vector<std::string> read_lines(const std::filesystem::path& path) {
  std::ifstream stream(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) {
    if (line.find_first_not_of(" \t\r") != std::string::npos) {
      lines.push_back(line);
    }
  }
  require<file_error>(!lines.empty(), path.string(), "text", "a readable file with a text on each line", "none");
  return lines;
}

/// A text cut between two words near its middle: its first half is read by the source, the rest is the response.
inline example text_example(const std::string& text) {
  std::size_t cut = text.find(' ', text.size() / 2);
  cut = cut == std::string::npos ? text.size() / 2 : cut;
  return {text.substr(0, cut), "", text.substr(cut), {}};
}

}  // namespace kvtransfer::train_projector
