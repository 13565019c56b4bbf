// train_projector: learns to write one model's cache into another's words. A fuser is trained through the frozen
// receiver; a ridge projector is solved from what both models make of the same texts.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "attention_likeness.hpp"
#include "examples.hpp"
#include "gradient_exchange.hpp"
#include "held_out.hpp"
#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/device_choice.hpp"
#include "kvtransfer/experiment/suite.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "kvtransfer/project/layer_alignment.hpp"
#include "kvtransfer/project/projector_file.hpp"
#include "kvtransfer/project/ridge_moments.hpp"
#include "migration_cost.hpp"
#include "settings.hpp"
#include "text_pair.hpp"
#include "training.hpp"

namespace {

using namespace kvtransfer;
using namespace kvtransfer::train_projector;

/// Every choice that the command line offers.
struct choices {
  recipe plan;
  run_settings run;
  std::string device = "auto";
};

void offer(CLI::App& app, choices& chosen) {
  auto& [plan, run, device] = chosen;
  app.option_defaults()->always_capture_default();
  app.add_option("--source", run.source, "model whose caches are read")->required();
  app.add_option("--receiver", run.receiver, "model whose caches are written")->required();
  app.add_option("--output", run.output, "folder to write the projector to")->required();
  app.add_option("--projector", run.projector)->check(CLI::IsMember({"fuser", "ridge"}));
  app.add_option("--keys", plan.keys, "which are read and given")->check(CLI::IsMember({"rotated", "unrotated"}));
  app.add_option("--layers", plan.layers, "how layers are aligned")
      ->check(CLI::IsMember({"last", "first", "stretched"}));
  app.add_option("--tokens", plan.tokens,
                 "which of the source's tokens stands for one of the receiver's: the first or longest of those that it "
                 "is there, or text: the one that ends where it ends, each model reading its own tokens")
      ->check(CLI::IsMember({"first", "longest", "text"}));
  app.add_option("--receiver-reads", plan.receiver_reads, "in the source's place: as many dots, or its text")
      ->check(CLI::IsMember({"filler", "text"}));
  app.add_option(
      "--condition", plan.condition,
      "harness to train in, as phase2a spells it behind a condition: cache:generated_eos+second_bos; a ridge projector "
      "learns of it what the source's cache holds, and dots stand in the receiver's where the source said something");
  app.add_option("--text", run.text, "file of texts, one a line, instead of generated facts and questions");
  app.add_option("--percent-needed", plan.percent_needed, "questions that only the source answers")
      ->check(CLI::Range(0, 100));
  app.add_option("--percent-modes", plan.percent_modes,
                 "examples whose source answers what it was never told, to be followed by \"I do not know.\"")
      ->check(CLI::Range(0, 100));
  app.add_option("--steps", plan.steps)->check(CLI::PositiveNumber);
  app.add_option("--warm-up", plan.warm_up, "steps until the learning rate peaks")->check(CLI::NonNegativeNumber);
  app.add_option("--schedule", plan.schedule, "how it falls to nothing")->check(CLI::IsMember({"cosine", "linear"}));
  app.add_option("--rows", plan.rows, "examples a step")->check(CLI::PositiveNumber);
  app.add_option("--rows-at-once", plan.rows_at_once, "examples in one forward pass")->check(CLI::PositiveNumber);
  app.add_option("--learning-rate", plan.peak_learning_rate)->check(CLI::PositiveNumber);
  app.add_option("--weight-decay", plan.weight_decay)->check(CLI::NonNegativeNumber);
  app.add_option("--clip", plan.clip, "largest norm of the gradients")->check(CLI::PositiveNumber);
  app.add_flag("--bfloat16", plan.bfloat16, "matrix products in bfloat16");
  app.add_option("--final-temperature", plan.final_temperature, "of the gates")->check(CLI::PositiveNumber);
  app.add_option("--dropout", plan.dropout)->check(CLI::Range(0.0, 0.99));
  app.add_option("--hidden-size", plan.hidden_size)->check(CLI::PositiveNumber);
  app.add_option("--intermediate-size", plan.intermediate_size)->check(CLI::PositiveNumber);
  app.add_option("--value-blocks", plan.value_blocks)->check(CLI::PositiveNumber);
  app.add_option("--seed", plan.seed);
  app.add_option("--initial", run.initial, "folder of a fuser to begin with");
  app.add_option("--lambda", run.lambda, "penalty of a ridge projector")->check(CLI::NonNegativeNumber);
  app.add_option("--source-layers", plan.source_layers, "layers of the source that each of the receiver's is made of")
      ->check(CLI::PositiveNumber);
  app.add_option("--source-slots", plan.source_slots,
                 "slots of the source that each token's is made of: its own and those before it")
      ->check(CLI::PositiveNumber);
  app.add_option("--cache-weight", plan.cache_weight,
                 "of a fuser's distance from the receiver's own cache of the text, beside the loss of the response")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--by-head", run.by_head, "a ridge projector maps head by head");
  app.add_flag("--resume", run.resume, "go on from the checkpoint in the output folder");
  app.add_option("--report-every", run.report_every, "steps between lines of progress")->check(CLI::PositiveNumber);
  app.add_option("--measure-every", run.measure_every, "steps between checkpoints")->check(CLI::PositiveNumber);
  app.add_option("--cases", run.cases, "held-out questions of the last measure")->check(CLI::Range(2, 1 << 20));
  app.add_option("--cost-lengths", run.cost_lengths, "tokens of texts by which the cost of a migration is measured")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  app.add_option("--device", device, "auto, cpu, cuda or cuda:N");
}

bool of_one_model(const model_pair& models) {
  return models.source.identity.is_known() && models.source.identity == models.receiver.identity;
}

head_shape heads_of(const causal_lm& model) { return {model.config.kv_heads, model.config.head_dim}; }

layer_alignment aligned_layers(const model_pair& models, const recipe& plan) {
  const std::int64_t count = plan.source_layers;
  const std::int64_t receiver = models.receiver.config.layers;
  const std::int64_t source = models.source.config.layers;
  return plan.layers == "last"    ? align_last_layers(receiver, source, count)
         : plan.layers == "first" ? align_first_layers(receiver, source, count)
                                  : align_stretched_layers(receiver, source, count);
}

/// Whether the example of a seed is one of those about a mode.
bool is_about_mode(const recipe& plan, std::uint64_t seed) {
  constexpr std::uint64_t stream = 1;  // another draw than the example's own
  corpus::dice throws{corpus::mixed_seed(seed, stream, 0)};
  return throws.chance(static_cast<std::uint64_t>(plan.percent_modes));
}

/// The rows of a step, from generated facts or from a file's texts: each process takes its turn among them.
row_maker rows_for(const choices& chosen, const model_pair& models, const text_pair& texts,
                   const gradient_exchange& processes) {
  const std::vector<std::string> lines =
      chosen.run.text.empty() ? std::vector<std::string>{} : read_lines(chosen.run.text);
  return [&models, &texts, plan = chosen.plan, lines, rank = processes.rank(),
          count = processes.size()](std::int64_t step) {
    std::vector<example> examples;
    for (std::int64_t i = rank; i < plan.rows; i += count) {
      const std::uint64_t seed =
          corpus::mixed_seed(plan.seed, static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(i));
      examples.push_back(!lines.empty() ? text_example(lines[seed % lines.size()])
                         : is_about_mode(plan, seed)
                             ? mode_example(seed, corpus::split::training)
                             : fact_example(seed, corpus::split::training, plan.percent_needed));
    }
    return texts.rows_of(examples, models);
  };
}

projectors::fuser initial_fuser(const model_pair& models, const choices& chosen) {
  const auto& [plan, run, device] = chosen;
  if (!run.initial.empty()) {
    auto stored = open_fuser(run.initial);
    require_models(stored.models, models.source.identity, models.receiver.identity, run.initial.string());
    return std::move(stored.projector);
  }
  return projectors::fuser::random(*key_rotation_named(plan.keys),
                                   {heads_of(models.source), heads_of(models.receiver), plan.hidden_size,
                                    plan.intermediate_size, plan.value_blocks, plan.source_slots},
                                   {1.0, plan.final_temperature, plan.steps, plan.dropout},
                                   aligned_layers(models, plan), plan.seed);
}

/// Solves a ridge projector from what both models make of the sources of `--steps` batches.
projectors::linear solved_ridge(const model_pair& models, const choices& chosen, const row_maker& make_rows,
                                training_cost& cost) {
  const auto& [plan, run, device] = chosen;
  ridge_moments moments(*key_rotation_named(plan.keys), heads_of(models.source), heads_of(models.receiver),
                        aligned_layers(models, plan), plan.source_slots);
  for (std::int64_t step = 0; step < plan.steps; ++step) {
    const std::vector<training_row> rows = make_rows(step);
    const cache receiver = prefill(models.receiver, column(rows, &training_row::receiver));
    const cache source = source_cache(models, rows, receiver.view());
    moments.add(source.view(), receiver.view());
    for (const training_row& row : rows) {
      cost.tokens += static_cast<std::int64_t>(row.source.size() + row.receiver.size());
    }
    if ((step + 1) % run.report_every == 0 || step + 1 == plan.steps) {
      say("step {:5}/{}  {} tokens", step + 1, plan.steps, moments.tokens());
    }
  }
  return moments.fit({.lambda = run.lambda, .by_head = run.by_head});
}

/// `training.json`: what was done, what it cost and what came of it.
template <Projector P>
void write_summary(const choices& chosen, const model_pair& models, const P& projector, const training_cost& cost,
                   const std::vector<held_out_score>& scores, const std::vector<attention_likeness>& likenesses) {
  nlohmann::ordered_json held_out = nlohmann::ordered_json::array();
  for (const held_out_score& score : scores) {
    held_out.push_back(
        {{"condition", score.condition}, {"loss", score.loss}, {"right", score.right}, {"cases", score.cases}});
  }
  const statistics::recovery recovered = recovery_of(scores);
  const auto estimated = [](const statistics::mean_estimate& estimate) -> nlohmann::ordered_json {
    const statistics::interval range = statistics::interval_of(estimate);
    return {{"mean", estimate.mean}, {"low", range.low}, {"high", range.high}};
  };
  nlohmann::ordered_json share = nullptr;  // where the text itself gives no more than another's
  if (recovered.share) {
    share = {
        {"mean", recovered.share->share}, {"low", recovered.share->range.low}, {"high", recovered.share->range.high}};
  }
  const nlohmann::ordered_json summary{{"projector", chosen.run.projector},
                                       {"recipe", identity_of(chosen.plan)},
                                       {"lambda", chosen.run.lambda},
                                       {"by_head", chosen.run.by_head},
                                       {"source_model", models.source.identity.digest.text()},
                                       {"receiver_model", models.receiver.identity.digest.text()},
                                       {"seconds", cost.seconds},
                                       {"tokens", cost.tokens},
                                       {"last_loss", cost.last_loss},
                                       {"cost_of_use", cost_of_use(models, projector, chosen.run.cost_lengths)},
                                       {"held_out", held_out},
                                       {"content", estimated(recovered.content)},
                                       {"recovered_share", share},
                                       {"attention_cosine", json_of(likenesses)}};
  write_text(chosen.run.output / "training.json", summary.dump(2) + "\n");
}

/// The projector, the questions that it was asked, and what came of it.
template <Projector P>
void write_results(const choices& chosen, const model_pair& models, const text_pair& texts, const P& projector,
                   const training_cost& cost) {
  const held_out_set questions = held_out_set::questions(chosen.run.cases, chosen.plan.seed);
  const auto scores = score_held_out(models, projector, texts, questions, true);
  say("held out: {}", describe(scores));
  const recipe& plan = chosen.plan;
  save_projector(chosen.run.output, projector,
                 {models.source.identity.digest, models.receiver.identity.digest,
                  *receiver_reading_named(plan.receiver_reads), *token_pairing_named(plan.tokens)});
  const auto write_suite = [&](const held_out_set& set, const std::string& name, const std::string& description) {
    write_text(chosen.run.output / (name + ".json"), suite_text(suite_of(set, name, description)));
  };
  write_suite(questions, "held_out", "One to four invented facts, and a question that one of them answers.");
  if (plan.percent_modes > 0) {
    write_suite(held_out_set::modes(chosen.run.cases, plan.seed), "held_out_modes",
                "Two questions about facts that no text told, answered all the same, and a third: a success is a model "
                "that says it does not know.");
  }
  const auto likenesses = attention_likenesses(models, projector, texts, questions);
  for (const attention_likeness& each : likenesses) {
    say("attention cosine, {}: {:.3f}", each.condition, each.of_prompts.mean);
  }
  write_summary(chosen, models, projector, cost, scores, likenesses);
}

void check(const choices& chosen, const gradient_exchange& processes) {
  const auto& [plan, run, device] = chosen;
  require<value_error>(run.projector == "fuser" || processes.size() == 1, "--projector", "processes",
                       "one for a projector that is solved", formatted("{}", processes.size()));
  require<value_error>(processes.size() <= plan.rows, "--rows", "processes", formatted("at most {}", plan.rows),
                       formatted("{}", processes.size()));
  require<value_error>(run.projector == "ridge" || plan.warm_up < plan.steps, "--warm-up", "steps",
                       formatted("less than --steps {}", plan.steps), formatted("{}", plan.warm_up));
  require<value_error>(run.projector == "fuser" || !run.resume, "--resume", "projector", "a fuser", run.projector);
  require<value_error>(run.projector == "fuser" || run.initial.empty(), "--initial", "projector", "a fuser",
                       run.projector);
}

void run(const choices& chosen) {
  const auto& [plan, settings, device_name] = chosen;
  const std::int64_t steps = plan.steps;  // a lambda may name no part of a structured binding (clang 14)
  const gradient_exchange processes = gradient_exchange::from_environment(device_name);
  check(chosen, processes);
  const bool ridge = settings.projector == "ridge";
  const at::Device device = choose_device(processes.device());
  const model_pair models{causal_lm::open(settings.source, device, at::kFloat),
                          causal_lm::open(settings.receiver, device, at::kFloat), harness(plan.condition)};
  const std::string& of_source = models.source.identity.tokenizer;
  const bool one_tokenizer = !of_source.empty() && of_source == models.receiver.identity.tokenizer;
  require<value_error>(!models.between.takes_generated() || of_one_model(models), "--condition", "cache",
                       "prompt where two models are trained on", plan.condition);
  const text_pair texts(open_tokenizer(settings.source), open_tokenizer(settings.receiver), one_tokenizer, plan);
  recipe reading = plan;
  reading.receiver_reads = ridge ? "text" : plan.receiver_reads;  // what a ridge projector has to give
  const text_pair taught(open_tokenizer(settings.source), open_tokenizer(settings.receiver), one_tokenizer, reading);
  const row_maker make_rows = rows_for(chosen, models, taught, processes);
  const held_out_set quick = held_out_set::questions(64, plan.seed);
  if (processes.leads()) {
    say("{} process{}, {} tokenizer{}; tokens are {}", processes.size(), processes.size() == 1 ? "" : "es",
        one_tokenizer ? "one" : "two", one_tokenizer ? "" : "s",
        one_tokenizer           ? "the same"
        : plan.tokens == "text" ? "paired by where they end"
                                : "aligned one for one");
  }
  if (ridge) {
    const auto started = std::chrono::steady_clock::now();
    training_cost cost;
    const projectors::linear projector = solved_ridge(models, chosen, make_rows, cost);
    cost.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    write_results(chosen, models, texts, projector, cost);
    return;
  }
  const projectors::fuser initial = initial_fuser(models, chosen);
  const std::string identity =
      fmt::format("{}, from {}, of {} for {}", identity_of(plan), initial.digest(),
                  models.source.identity.digest.text(), models.receiver.identity.digest.text());
  static_cast<void>(make_rows(0));  // tokenizers that cannot be aligned are told before anything is written
  std::error_code refused;
  std::filesystem::create_directories(settings.output, refused);
  require<file_error>(!refused, settings.output.string(), "folder", "one that can be made", refused.message());
  const auto [projector, cost] = train(
      models, initial, plan, identity, settings.output, settings.resume, settings.report_every, settings.measure_every,
      make_rows,
      [&](const projectors::fuser& so_far, std::int64_t done) {
        say("step {:5}/{}  held out: {}", done, steps, describe(score_held_out(models, so_far, texts, quick, false)));
      },
      processes);
  if (!processes.leads()) {
    return;
  }
  write_results(chosen, models, texts, projector, cost);
  std::filesystem::remove(settings.output / "checkpoint.safetensors");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Trains a projector between two models' caches and writes it as a folder."};
  choices chosen;
  offer(app, chosen);
  CLI11_PARSE(app, argc, argv);
  try {
    run(chosen);
    return 0;
  } catch (const kvtransfer::error& problem) {
    fmt::print(stderr, "train_projector: {}\n", problem.what());
    return 2;
  } catch (const std::exception& problem) {
    fmt::print(stderr, "train_projector: {}\n", problem.what());
    return 1;
  }
}
