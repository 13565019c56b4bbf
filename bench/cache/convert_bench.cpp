#include <benchmark/benchmark.h>

#include <string>

#include "cache/caches.hpp"
#include "kvtransfer/cache/convert.hpp"
#include "kvtransfer/tensor/layouts/paged.hpp"
#include "kvtransfer/tensor/layouts/ragged.hpp"
#include "support/against_copy.hpp"

namespace kvtransfer::bench {
namespace {

/// Conversion of a whole cache into tensors that are there already, keys and values.
template <LayerLayout From, LayerLayout To>
void convert_between(benchmark::State& state, at::Device device, const From& from, const To& to) {
  const cache_size size = size_for(device);
  const cache_view<From> source = convert(random_cache(size, device), from);
  const cache_view<To> target = convert(source, to);
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < size.layers; ++i) {
    keys.push_back(target.layer(i).stored_keys());
    values.push_back(target.layer(i).stored_values());
  }
  time_against_copy(state, device, size.bytes(), [&] { convert_into(source, keys, values, to); });
}

template <LayerLayout From, LayerLayout To>
void add(const std::string& name, at::Device device, const From& from, const To& to) {
  benchmark::RegisterBenchmark(("convert/" + name + "/" + device.str()).c_str(),
                               [=](benchmark::State& state) { convert_between(state, device, from, to); })
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

const bool added = [] {
  for (const at::Device device : devices()) {
    const cache_size size = size_for(device);
    const layouts::batch_heads_seq_dim canonical;
    const layouts::batch_seq_heads_dim seq_first;
    const layouts::llama_cpp transposed;
    const layouts::ragged ragged = ragged_for(size);
    const layouts::paged_nhd nhd{blocks_for(size)};
    const layouts::paged_hnd hnd{blocks_for(size)};
    add("canonical to seq first", device, canonical, seq_first);
    add("seq first to canonical", device, seq_first, canonical);
    add("canonical to ragged", device, canonical, ragged);
    add("ragged to canonical", device, ragged, canonical);
    add("canonical to paged NHD", device, canonical, nhd);
    add("paged NHD to canonical", device, nhd, canonical);
    add("canonical to paged HND", device, canonical, hnd);
    add("paged HND to canonical", device, hnd, canonical);
    add("paged NHD to ragged", device, nhd, ragged);
    add("paged NHD to paged HND", device, nhd, hnd);
    add("canonical to llama.cpp", device, canonical, transposed);
    add("llama.cpp to canonical", device, transposed, canonical);
    add("paged NHD to llama.cpp", device, nhd, transposed);
    add("llama.cpp to paged NHD", device, transposed, nhd);
  }
  return true;
}();

}  // namespace
}  // namespace kvtransfer::bench
