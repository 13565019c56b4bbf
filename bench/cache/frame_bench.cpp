#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"

namespace kvtransfer::bench {
namespace {

/// The frame of 32 layers whose keys stand at `count` positions from `first` on, as a model writes it.
cache_frame text_frame(std::int64_t first, std::int64_t count) {
  rotary_specification rotary;
  rotary.inv_freq.assign(64, 0.5F);
  cache_frame frame(32, {position_map::consecutive(first, count), {rotary}});
  frame.set_token_ids({std::vector<std::int64_t>(static_cast<std::size_t>(count), 7)});
  return frame;
}

/// What a session does to its frame for every token that it reads: the same however many there are.
void append_token(benchmark::State& state) {
  const std::int64_t before = state.range(0);
  cache_frame frame = text_frame(0, before);
  const cache_frame one = text_frame(before, 1);
  frame.append(one);  // the first append takes the frame for its own
  for (auto _ : state) {
    frame.append(one);
    benchmark::DoNotOptimize(frame);
  }
}
BENCHMARK(append_token)->Name("frame/append a token behind")->Arg(128)->Arg(131072)->Iterations(1000);

/// Whether a move is pending, asked of a cache whose moves were made.
void compare_frames(benchmark::State& state) {
  const cache_frame stored = text_frame(0, state.range(0));
  const cache_frame target = stored.transform([](const layer_frame& layer) { return layer.shifted(1).shifted(-1); });
  for (auto _ : state) {
    benchmark::DoNotOptimize(stored == target);
  }
}
BENCHMARK(compare_frames)->Name("frame/compare")->Arg(128)->Arg(131072);

}  // namespace
}  // namespace kvtransfer::bench
