#include <benchmark/benchmark.h>

#include <string>

#include "cache/caches.hpp"
#include "kvtransfer/cache/borrowed_cache.hpp"
#include "support/against_copy.hpp"

namespace kvtransfer::bench {
namespace {

/// Moves all keys of a cache where they lie: by one delta, or each token by its own.
template <LayerLayout Layout>
void add_moves(const std::string& name, at::Device device, const Layout& layout) {
  const auto add = [&](const std::string& move, auto&& moved) {
    benchmark::RegisterBenchmark((move + "/" + name + "/" + device.str()).c_str(),
                                 [=](benchmark::State& state) {
                                   const cache_size size = size_for(device);
                                   borrowed_cache kv(convert(random_cache(size, device), layout));
                                   time_against_copy(state, device, size.bytes() / 2, [&] { moved(kv, size); });
                                 })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  };
  add("shift", [](auto& kv, const cache_size&) { kv.shift(1); });
  add("remap", [](auto& kv, const cache_size& size) {  // there and back, so that every call moves
    const bool moved = kv.frame().layer(0).positions.row(0, 1, 0).runs().front().first > 0;
    std::vector<position_row> rows;
    for (std::int64_t b = 0; b < size.batch; ++b) {
      rows.push_back(position_row::consecutive(moved ? 0 : 1 + 100 * b, size.seq));
    }
    kv.remap(position_map(1, size.batch, 1, std::move(rows)));
  });
}

const bool added = [] {
  for (const at::Device device : devices()) {
    const cache_size size = size_for(device);
    add_moves("canonical", device, layouts::batch_heads_seq_dim{});
    add_moves("seq first", device, layouts::batch_seq_heads_dim{});
    add_moves("ragged", device, ragged_for(size));
    add_moves("paged NHD", device, layouts::paged_nhd{blocks_for(size)});
    add_moves("paged HND", device, layouts::paged_hnd{blocks_for(size)});
  }
  return true;
}();

}  // namespace
}  // namespace kvtransfer::bench
