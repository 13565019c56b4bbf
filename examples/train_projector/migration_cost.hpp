#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/project/concepts.hpp"
#include "kvtransfer/project/project.hpp"
#include "rows.hpp"

namespace kvtransfer::train_projector {

/// What it takes to have the receiver's cache of a text, of which the source has one already: by projecting that, or by
/// having the receiver read the text. Medians of some rounds by turns, seconds.
struct migration_time {
  std::int64_t tokens = 0;
  double projecting = 0;      ///< the source's cache is there, and the receiver's own where the projector adds to it
  double receiver_reads = 0;  ///< the text; a projector that adds needs this besides
  double source_reads = 0;    ///< the text, where the source has not read it yet
};

/// Parameters of a projector, and the bytes that they take.
struct projector_size {
  std::int64_t parameters = 0;
  std::int64_t bytes = 0;
};

template <Projector P>
projector_size size_of(const P& projector) {
  projector_size size;
  projector.for_each_tensor([&](const std::string&, const at::Tensor& tensor) {
    size.parameters += tensor.numel();
    size.bytes += static_cast<std::int64_t>(tensor.nbytes());
  });
  return size;
}

/// `tokens` ids, the same for the same number; 0 to 2 are left to boundary tokens.
inline token_row some_text(std::int64_t tokens, std::int64_t vocab_size) {
  token_row ids;
  for (std::int64_t i = 0; i < tokens; ++i) {
    ids.push_back(3 + (i * i * 7 + i * 13) % (vocab_size - 3));
  }
  return ids;
}

/// Seconds until the last of a cache's numbers is there, which a device may be late with.
inline double seconds_for(const std::function<cache()>& work) {
  const auto started = std::chrono::steady_clock::now();
  const cache made = work();
  const auto last = made.view().layer(made.layers() - 1);
  static_cast<void>(last.values().flatten()[-1].item<double>());
  static_cast<void>(last.keys().flatten()[-1].item<double>());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
}

/// One text of `tokens` tokens, once by every way and then in rounds.
template <Projector P>
migration_time migration_of(const model_pair& models, const P& projector, std::int64_t tokens) {
  const at::NoGradGuard no_gradients;
  const token_row for_source = some_text(tokens, models.source.config.vocab_size);
  const token_row for_receiver = some_text(tokens, models.receiver.config.vocab_size);
  const cache source = prefill(models.source, {for_source});
  const cache receiver = prefill(models.receiver, {for_receiver});
  const std::vector<std::function<cache()>> ways{
      [&] {
        return projector.effect() == projection_effect::replaces
                   ? project(projector, source.view(), receiver.view().frame())
                   : project(projector, source.view(), receiver.view());
      },
      [&] { return prefill(models.receiver, {for_receiver}); }, [&] { return prefill(models.source, {for_source}); }};
  constexpr std::size_t rounds = 9;
  std::vector<std::vector<double>> seconds(ways.size());
  for (std::size_t round = 0; round <= rounds; ++round) {
    for (std::size_t way = 0; way < ways.size(); ++way) {
      const double took = seconds_for(ways[way]);
      if (round > 0) {  // the first warms up
        seconds[way].push_back(took);
      }
    }
  }
  for (std::vector<double>& of_way : seconds) {
    std::ranges::nth_element(of_way, of_way.begin() + rounds / 2);
  }
  return {tokens, seconds[0][rounds / 2], seconds[1][rounds / 2], seconds[2][rounds / 2]};
}

/// The length from which on projecting is the faster way at every length measured; nothing where it never is. A
/// projector that adds to what the receiver has read never is.
/// @param times of rising lengths
inline std::optional<std::int64_t> faster_from(const std::vector<migration_time>& times, projection_effect effect) {
  std::optional<std::int64_t> from;
  for (const migration_time& time : times) {
    const bool faster = effect == projection_effect::replaces && time.projecting < time.receiver_reads;
    from = !faster ? std::nullopt : from ? from : std::optional(time.tokens);
  }
  return from;
}

/// As `training.json` has it.
template <Projector P>
nlohmann::ordered_json cost_of_use(const model_pair& models, const P& projector,
                                   const std::vector<std::int64_t>& lengths) {
  std::vector<migration_time> times;
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const std::int64_t tokens : lengths) {
    const migration_time time = times.emplace_back(migration_of(models, projector, tokens));
    rows.push_back({{"tokens", tokens},
                    {"projecting_seconds", time.projecting},
                    {"receiver_reads_seconds", time.receiver_reads},
                    {"source_reads_seconds", time.source_reads}});
  }
  const auto from = faster_from(times, projector.effect());
  const projector_size size = size_of(projector);
  return {{"parameters", size.parameters},
          {"bytes", size.bytes},
          {"needs_receivers_cache", projector.effect() == projection_effect::adds},
          {"device", models.receiver.device().str()},
          {"migration", rows},
          {"faster_from_tokens", from ? nlohmann::ordered_json(*from) : nlohmann::ordered_json(nullptr)}};
}

}  // namespace kvtransfer::train_projector
