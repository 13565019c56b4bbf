// Products of few rows with NF4 matrices by the kernels of decode steps: shapes that fit a GPU's matrix units, and
// shapes and addresses that do not.

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/repeat_interleave.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/model/weights/nf4_matrix.hpp"
#include "model/step_kernels.hpp"
#include "model/weights/nf4_product.hpp"
#include "support/tensors.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

nf4_matrix quantized(std::int64_t out, std::int64_t in, at::ScalarType dtype, bool nested = false) {
  return quantize_nf4(at::randn({out, in}).mul_(0.05).to(at::kCUDA, dtype), nested);
}

/// The same values with a scale for each `block_size` elements.
nf4_matrix in_blocks_of(std::int64_t block_size, nf4_matrix matrix) {
  matrix.absmax = matrix.absmax.repeat_interleave(matrix.block_size / block_size);
  matrix.block_size = block_size;
  return matrix;
}

/// The same values, codes beginning `bytes` behind an address that allocators give.
nf4_matrix moved_by(std::int64_t bytes, nf4_matrix matrix) {
  const std::int64_t size = matrix.codes.numel();
  at::Tensor moved = at::empty({size + bytes}, matrix.codes.options()).slice(0, bytes).view(matrix.codes.sizes());
  moved.copy_(matrix.codes);
  matrix.codes = moved;
  return matrix;
}

/// That a product is the one with the matrix brought back, in float64: fp32 sums, then half a unit of x's type.
void check_product(const at::Tensor& got, const at::Tensor& x, const nf4_matrix& matrix, const at::Tensor& bias) {
  const at::Tensor exact = dequantize_nf4(matrix).to(at::kDouble);
  const at::Tensor added = bias.defined() ? bias.to(at::kDouble) : bias;
  const at::Tensor wanted = at::linear(x.to(at::kDouble), exact, added);
  const at::Tensor magnitude = at::linear(x.to(at::kDouble).abs(), exact.abs(), added.defined() ? added.abs() : added);
  const double unit = x.scalar_type() == at::kFloat ? 0 : x.scalar_type() == at::kBFloat16 ? 0x1p-8 : 0x1p-11;
  CHECK(got.scalar_type() == x.scalar_type());
  CHECK(((got.to(at::kDouble) - wanted).abs() <= wanted.abs() * unit + magnitude * 0x1p-22).all().item<bool>());
}

/// That gate and up together are both products, each rounded, one activated, multiplied.
void check_gated(const at::Tensor& x, const nf4_matrix& gate, const nf4_matrix& up, const at::Tensor& bias) {
  const auto got = detail::nf4_gate(x, gate, up, bias, {}, gate_activation::gelu_tanh);
  REQUIRE(got.has_value());
  const double unit = x.scalar_type() == at::kFloat ? 1e-5 : x.scalar_type() == at::kBFloat16 ? 2e-2 : 4e-3;
  const auto product = [&](const nf4_matrix& matrix, const at::Tensor& added) {
    return detail::nf4_product(x, matrix, added).value().to(at::kDouble);
  };
  const at::Tensor wanted = at::gelu(product(gate, bias), "tanh") * product(up, {});
  CHECK(max_difference(*got, wanted) <= 2 * unit * wanted.abs().max().item<double>());
}

/// Products with three matrices at once, and with the first and the last gated.
void check_joint(const at::Tensor& x, const std::vector<nf4_matrix>& matrices) {
  const at::Tensor bias = at::randn({matrices.front().shape[0]}).to(at::kCUDA, x.scalar_type());
  const std::vector<at::Tensor> biases{bias, at::Tensor(), at::Tensor()};
  const auto got = detail::nf4_products(x, {&matrices[0], &matrices[1], &matrices[2]}, biases);
  REQUIRE(got.has_value());
  for (std::size_t i = 0; i < 3; ++i) {
    check_product((*got)[i], x, matrices[i], biases[i]);
  }
  check_gated(x, matrices[0], matrices[2], bias);
}

}  // namespace

TEST_CASE("products with several NF4 matrices at once are those with the matrices brought back, on a GPU",
          "[kernels][nf4][cuda]") {
  if (!cuda_available()) {
    return;
  }
  const detail::gpu_kernels_wanted kernels(true);
  at::manual_seed(8);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const bool nested : {false, true}) {
      for (const std::int64_t in : {64, 128, 1664, 2048, 5632}) {  // 1664: as many tiles as no number of warps divides
        const std::vector<nf4_matrix> matrices{quantized(130, in, dtype, nested), quantized(8, in, dtype, nested),
                                               quantized(130, in, dtype, nested)};
        for (std::int64_t rows = 1; rows <= 8; ++rows) {
          CAPTURE(at::toString(dtype), nested, rows, in);
          check_joint(at::randn({rows, in}).to(at::kCUDA, dtype), matrices);
        }
      }
    }
  }
}

TEST_CASE("products with NF4 matrices do not depend on block size and address, on a GPU", "[kernels][nf4][cuda]") {
  if (!cuda_available()) {
    return;
  }
  const detail::gpu_kernels_wanted kernels(true);
  at::manual_seed(9);
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    const nf4_matrix matrix = quantized(72, 1664, dtype);
    for (const std::int64_t rows : {1, 5, 8}) {
      CAPTURE(at::toString(dtype), rows);
      const at::Tensor x = at::randn({rows, 1664}).to(at::kCUDA, dtype);
      const std::vector<nf4_matrix> alike{in_blocks_of(32, matrix), in_blocks_of(16, matrix), moved_by(8, matrix),
                                          moved_by(4, matrix)};
      for (const nf4_matrix& each : alike) {
        CAPTURE(each.block_size, each.codes.storage_offset());
        check_joint(x, {each, each, each});
      }
    }
  }
}

TEST_CASE("a row's product with NF4 matrices is the same to the bit among others, on a GPU", "[kernels][nf4][cuda]") {
  if (!cuda_available()) {
    return;
  }
  const detail::gpu_kernels_wanted kernels(true);
  at::manual_seed(10);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const nf4_matrix gate = quantized(130, 1664, dtype, true);
    const nf4_matrix up = quantized(130, 1664, dtype, true);
    const at::Tensor x = at::randn({8, 1664}).to(at::kCUDA, dtype);
    const at::Tensor product = detail::nf4_product(x, gate, {}).value();
    const at::Tensor gated = detail::nf4_gate(x, gate, up, {}, {}, gate_activation::silu).value();
    for (std::int64_t row = 0; row < 8; ++row) {
      CAPTURE(at::toString(dtype), row);
      const at::Tensor alone = x.slice(0, row, row + 1);
      CHECK(at::equal(detail::nf4_product(alone, gate, {}).value(), product.slice(0, row, row + 1)));
      CHECK(at::equal(detail::nf4_gate(alone, gate, up, {}, {}, gate_activation::silu).value(),
                      gated.slice(0, row, row + 1)));
    }
  }
}

TEST_CASE("more rows than decode steps have are left to the matrix brought back, on a GPU", "[kernels][nf4][cuda]") {
  if (cuda_available()) {
    const detail::gpu_kernels_wanted kernels(true);
    const nf4_matrix matrix = quantized(130, 64, at::kBFloat16);
    CHECK_FALSE(detail::nf4_products(at::randn({9, 64}).to(at::kCUDA, at::kBFloat16), {&matrix}, {at::Tensor()}));
  }
}
