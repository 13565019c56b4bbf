#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "recall.hpp"
#include "settings.hpp"

namespace kvtransfer::train_lab {

/// What a model says to a prompt pair of a suite, and to its target alone.
struct suite_answer {
  std::string name;
  std::string with_source;
  std::string alone;
};

/// The command that gives this model, with the output folder's own name only.
inline std::string command_line(const model_shape& shape, const recipe& plan, const run_settings& run) {
  return fmt::format(
      "train_lab --output {} --steps {} --warm-up {} --batch-tokens {} --sequence-length {} --learning-rate {} "
      "--weight-decay {} --clip {} --seed {} --layers {} --hidden-size {} --intermediate-size {} --q-heads {} "
      "--kv-heads {} --head-dim {} --vocab-size {} --rope-theta {} --tokenizer-documents {} --cases {}",
      run.output.filename().string(), plan.steps, plan.warm_up, plan.batch_tokens, plan.sequence_length,
      plan.peak_learning_rate, plan.weight_decay, plan.clip, plan.seed, shape.layers, shape.hidden_size,
      shape.intermediate_size, shape.q_heads, shape.kv_heads, shape.head_dim, shape.vocab_size, shape.rope_theta,
      run.tokenizer_documents, run.cases);
}

/// The answers as a Markdown table; empty where no suite was asked.
inline std::string suite_table(const std::vector<suite_answer>& answers) {
  if (answers.empty()) {
    return {};
  }
  std::string table =
      "\n## What it says to the suite's prompts\n\n| test | target alone | source, then target |\n|---|---|---|\n";
  for (const suite_answer& answer : answers) {
    table += fmt::format("| {} | {} | {} |\n", answer.name, answer.alone, answer.with_source);
  }
  return table;
}

/// The model card; every number in it was measured by the run that writes it.
/// @param processor "cpu", or the name of the GPU
/// @param parameters how many numbers the model holds
/// @param seconds of training, measures included
inline std::string model_card(const model_shape& shape, const recipe& plan, const run_settings& run,
                              std::string_view processor, std::int64_t parameters, double seconds,
                              const recall_scores& scores, const std::vector<suite_answer>& answers) {
  const auto row = [](std::string_view what, const score& part) {
    return fmt::format("| {} | {} of {} | {:.1f} % |\n", what, part.right, part.of, part.percent());
  };
  return fmt::format(
             "# {}\n\n"
             "A language model made to have its KV cache moved: small enough for a repository, able to use its "
             "context, and "
             "free of the names that the built-in suite asks for. Llama architecture, {} layers, hidden size {}, {} "
             "query and "
             "{} KV heads of {}, {} parameters in fp16, a vocabulary of {} pieces, trained on rows of {} tokens.\n\n"
             "It reads and writes one kind of text: invented facts about people, places and substances, questions "
             "about them, "
             "and a few dozen true facts known by heart. What a text has not told it answers with \"I do not know.\", "
             "and so it does whenever a question opens a text. It is no use for anything but experiments.\n\n"
             "## How it was made\n\n```\n{}\n```\n\n"
             "{} steps of {} tokens, seed {}, on {} in {:.0f} s.\n\n"
             "## What it does\n\n"
             "Measured greedily on the fp16 weights as they are stored here; no name in these cases occurs in the "
             "training text.\n\n"
             "| | right | |\n|---|---|---|\n",
             run.output.filename().string(), shape.layers, shape.hidden_size, shape.q_heads, shape.kv_heads,
             shape.head_dim, parameters, shape.vocab_size, plan.sequence_length, command_line(shape, plan, run),
             plan.steps, plan.batch_tokens, plan.seed, processor, seconds) +
         row("held-out questions answered from their source", scores.from_context) +
         row("the same questions alone: \"I do not know.\"", scores.unknown) +
         row("true sentences completed from memory", scores.from_memory) + suite_table(answers);
}

}  // namespace kvtransfer::train_lab
