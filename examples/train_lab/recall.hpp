#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "corpus/encyclopedia.hpp"
#include "corpus/recall_cases.hpp"
#include "greedy_answers.hpp"

namespace kvtransfer::train_lab {

/// So many right of so many.
struct score {
  std::size_t right = 0;
  std::size_t of = 0;

  double percent() const { return of == 0 ? 0.0 : 100.0 * static_cast<double>(right) / static_cast<double>(of); }
};

/// What a model was seen to do.
struct recall_scores {
  score from_context;                     ///< held-out cases with their source: every marker in the answer
  score unknown;                          ///< the same questions alone: "I do not know."
  score from_memory;                      ///< true sentences completed
  std::map<std::string, score> families;  ///< `from_context`, family by family
  std::vector<std::string> mistakes;      ///< cases that failed, in words
};

/// Whether `text` holds `word`, upper and lower case alike.
inline bool holds(std::string_view text, std::string_view word) {
  const auto lower = [](char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  };
  return std::search(text.begin(), text.end(), word.begin(), word.end(),
                     [&](char a, char b) { return lower(a) == lower(b); }) != text.end();
}

/// Whether a text opens with `words`, spaces in front apart.
inline bool opens_with(std::string_view text, std::string_view words) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return text.starts_with(words);
}

/// Counts one case's two answers.
inline void judge(const corpus::recall_case& asked, const std::string& informed, const std::string& uninformed,
                  recall_scores& scores) {
  const bool recalled = std::all_of(asked.markers.begin(), asked.markers.end(),
                                    [&](const std::string& marker) { return holds(informed, marker); });
  const bool ignorant = opens_with(uninformed, corpus::unknown_answer);
  score& family = scores.families[asked.family];
  family.right += recalled;
  ++family.of;
  scores.from_context.right += recalled;
  scores.unknown.right += ignorant;
  if (!recalled) {
    scores.mistakes.push_back(fmt::format("{} {} -> {}", asked.source, asked.target, informed));
  }
  if (!ignorant) {
    scores.mistakes.push_back(fmt::format("{} -> {}", asked.target, uninformed));
  }
}

/// Asks the model the held-out cases with and without their source, and has it complete true sentences.
inline recall_scores measure_recall(const model_config& config, const model_weights& weights,
                                    const any_tokenizer& subwords, std::size_t count, std::uint64_t seed,
                                    at::Device device) {
  const auto cases = corpus::held_out_cases(count, seed);
  const auto sentences = corpus::completions();
  std::vector<std::vector<std::string>> with_source, alone, beginnings;
  for (const corpus::recall_case& asked : cases) {
    with_source.push_back({asked.source, asked.target});
    alone.push_back({asked.target});
  }
  for (const corpus::completion& sentence : sentences) {
    beginnings.push_back({sentence.prompt});
  }
  recall_scores scores{{0, cases.size()}, {0, cases.size()}, {0, sentences.size()}, {}, {}};
  const auto informed = greedy_answers(config, weights, subwords, with_source, device);
  const auto uninformed = greedy_answers(config, weights, subwords, alone, device);
  const auto completed = greedy_answers(config, weights, subwords, beginnings, device);
  for (std::size_t index = 0; index < cases.size(); ++index) {
    judge(cases[index], informed[index], uninformed[index], scores);
  }
  for (std::size_t index = 0; index < sentences.size(); ++index) {
    scores.from_memory.right += opens_with(completed[index], sentences[index].ending);
  }
  return scores;
}

/// `from context 1093/1100 (99.4 %), unknown 1100/1100 (100.0 %), from memory 56/56 (100.0 %)`.
inline std::string describe(const recall_scores& scores) {
  const auto one = [](const score& part) {
    return fmt::format("{}/{} ({:.1f} %)", part.right, part.of, part.percent());
  };
  return fmt::format("from context {}, unknown {}, from memory {}", one(scores.from_context), one(scores.unknown),
                     one(scores.from_memory));
}

/// `age 10/10, capital 9/10, …`.
inline std::string describe_families(const recall_scores& scores) {
  std::vector<std::string> parts;
  for (const auto& [family, part] : scores.families) {
    parts.push_back(fmt::format("{} {}/{}", family, part.right, part.of));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace kvtransfer::train_lab
