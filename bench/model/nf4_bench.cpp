// Products with NF4 matrices of TinyLlama's shapes, by turns with a plain copy of the bytes that the matrix takes.

#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kvtransfer/model/weights/nf4_matrix.hpp"
#include "model/weights/nf4_product.hpp"
#include "support/against_copy.hpp"

namespace {

using namespace kvtransfer;

struct matrix_shape {
  const char* name;
  std::int64_t out;
  std::int64_t in;
};

/// As many copies as the device's caches can't hold, so that each product reads its matrix from memory.
std::vector<nf4_matrix> matrices(const matrix_shape& shape, at::Device device) {
  const std::int64_t bytes = shape.out * shape.in / 2;
  const std::int64_t beyond_caches = std::int64_t{1} << 28;
  const nf4_matrix first = quantize_nf4(at::randn({shape.out, shape.in}).to(device, at::kBFloat16), true);
  std::vector<nf4_matrix> copies{first};
  while (static_cast<std::int64_t>(copies.size()) * bytes < beyond_caches) {
    copies.push_back(first);
    copies.back().codes = first.codes.clone();
    copies.back().absmax = first.absmax.clone();
  }
  return copies;
}

/// Once through all copies.
void time_products(benchmark::State& state, const matrix_shape& shape, at::Device device, std::int64_t rows,
                   bool brought_back) {
  const std::vector<nf4_matrix> copies = matrices(shape, device);
  const at::Tensor x = at::randn({rows, shape.in}).to(device, at::kBFloat16);
  const std::int64_t bytes = static_cast<std::int64_t>(copies.size()) * copies[0].codes.numel();
  bench::time_against_copy(state, device, bytes / 2, [&] {  // a copy of half reads and writes as much as is read here
    for (const nf4_matrix& matrix : copies) {
      benchmark::DoNotOptimize(brought_back ? at::linear(x, dequantize_nf4(matrix))
                                            : detail::nf4_product(x, matrix, {}).value());
    }
  });
  state.counters["us_a_product"] =
      1e6 * static_cast<double>(bytes) / (state.counters["GB/s"] * 1e9) / static_cast<double>(copies.size());
}

const bool registered = [] {
  const std::vector<matrix_shape> shapes{
      {"q_proj", 2048, 2048}, {"k_proj", 256, 2048}, {"gate_proj", 5632, 2048}, {"down_proj", 2048, 5632}};
  for (const at::Device device : bench::devices()) {
    for (const matrix_shape& shape : shapes) {
      for (const std::int64_t rows : {1, 2, 4, 8}) {
        for (const bool brought_back : {false, true}) {
          const std::string name = std::string("nf4/") + (brought_back ? "brought_back/" : "product/") + shape.name +
                                   "/rows:" + std::to_string(rows) + "/" + device.str();
          benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
            time_products(state, shape, device, rows, brought_back);
          })->UseManualTime();
        }
      }
    }
  }
  return true;
}();

}  // namespace
