#include <benchmark/benchmark.h>

#include <string>

#include "cache/caches.hpp"
#include "kvtransfer/cache/quantized/quantize_cache.hpp"
#include "support/against_copy.hpp"

namespace kvtransfer::bench {
namespace {

/// Bytes of the keys in bf16.
std::int64_t plain_bytes(const cache_size& size) { return size.bytes() / 2; }

/// Bytes of the keys' codes and scales.
std::int64_t code_bytes(const quantized_cache& kv) {
  std::int64_t bytes = 0;
  for (std::int64_t i = 0; i < kv.layers(); ++i) {
    bytes += kv.stored_keys(i).nbytes();
  }
  return bytes;
}

/// Keys from bf16 to codes, back, and codes moved where they lie. A copy beside each reads and writes as many bytes as
/// it must.
void add_scheme(const std::string& name, at::Device device, const quantization& scheme) {
  const auto add = [&](const std::string& what, auto&& timed) {
    benchmark::RegisterBenchmark((what + "/" + name + "/" + device.str()).c_str(),
                                 [=](benchmark::State& state) {
                                   const cache_size size = size_for(device);
                                   const cache_view<> source = random_cache(size, device);
                                   quantized_cache kv = quantize(source, scheme, scheme);
                                   timed(state, size, source, kv);
                                 })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  };
  add("quantize",
      [=](benchmark::State& state, const cache_size& size, const cache_view<>& source, const quantized_cache& kv) {
        time_against_copy(state, device, (plain_bytes(size) + code_bytes(kv)) / 2, [&] {
          for (std::int64_t i = 0; i < source.layers(); ++i) {
            static_cast<void>(quantize(source.layer(i).keys(), scheme));
          }
        });
      });
  add("dequantize",
      [=](benchmark::State& state, const cache_size& size, const cache_view<>&, const quantized_cache& kv) {
        time_against_copy(state, device, (plain_bytes(size) + code_bytes(kv)) / 2, [&] {
          for (std::int64_t i = 0; i < kv.layers(); ++i) {
            static_cast<void>(dequantize(kv.stored_keys(i)));
          }
        });
      });
  add("shift", [=](benchmark::State& state, const cache_size&, const cache_view<>&, quantized_cache& kv) {
    time_against_copy(state, device, code_bytes(kv), [&] {
      kv.shift(1);
      kv.materialize();
    });
  });
  add("remap", [=](benchmark::State& state, const cache_size& size, const cache_view<>&, quantized_cache& kv) {
    std::int64_t first = 0;
    time_against_copy(state, device, code_bytes(kv), [&] {
      first = 1 - first;
      std::vector<position_row> rows;
      for (std::int64_t b = 0; b < size.batch; ++b) {
        rows.push_back(position_row::consecutive(first * (1 + 100 * b), size.seq));
      }
      kv.remap(position_map(1, size.batch, 1, std::move(rows)));
      kv.materialize();
    });
  });
}

const bool added = [] {
  for (const at::Device device : devices()) {
    add_scheme("int8 per channel", device, kivi_keys(8, 64));
    add_scheme("int4 per channel", device, kivi_keys(4, 64));
    add_scheme("int8 per token", device, kivi_values(8, 64));
    add_scheme("int4 per token", device, kivi_values(4, 64));
    add_scheme("fp8 per channel", device, {code_format::float8_e4m3fn, quantization_axis::per_channel, 64});
  }
  return true;
}();

}  // namespace
}  // namespace kvtransfer::bench
