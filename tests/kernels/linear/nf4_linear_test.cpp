// Products with NF4 matrices against the same matrix brought back and multiplied in float64.

#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/weights/nf4_matrix.hpp"
#include "model/step_kernels.hpp"
#include "model/weights/nf4_product.hpp"
#include "support/message.hpp"
#include "support/tensors.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

using optional_tensor = std::optional<at::Tensor>;

/// The values element by element, without any kernel of ours.
at::Tensor brought_back(const nf4_matrix& matrix) {
  const at::Tensor bytes = matrix.codes.flatten().to(at::kLong);
  const at::Tensor halves = at::stack({bytes.div(16, "floor"), bytes.remainder(16)}, 1).flatten();
  const at::Tensor scales = nf4_scales(matrix).repeat_interleave(matrix.block_size).slice(0, 0, halves.numel());
  return (nf4_quant_map().to(bytes.device()).index({halves}) * scales).view(matrix.shape).to(matrix.dtype);
}

struct product_case {
  std::int64_t out;
  std::int64_t in;
  std::int64_t rows;
};

const std::vector<product_case> cases{{1, 8, 1},      {3, 64, 1},   {65, 72, 2},   {256, 576, 1},
                                      {130, 1536, 3}, {96, 512, 5}, {33, 264, 8},  {64, 2048, 9},
                                      {40, 1032, 16}, {7, 5632, 1}, {200, 2048, 8}};

void check_products(at::Device device) {
  at::manual_seed(7);
  for (const auto& [out, in, rows] : cases) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      for (const bool nested : {false, true}) {
        CAPTURE(out, in, rows, at::toString(dtype), nested);
        const nf4_matrix matrix = quantize_nf4(at::randn({out, in}).to(device, dtype), nested);
        const at::Tensor exact = brought_back(matrix);
        CHECK(at::equal(dequantize_nf4(matrix), exact));
        const at::Tensor bias = at::randn({out}).to(device, dtype);
        const at::Tensor x = at::randn({rows, in}).to(device, dtype);
        const std::optional<at::Tensor> got = detail::nf4_product(x, matrix, bias);
        if (device.is_cuda() && rows > 8) {  // there bringing the matrix back is faster
          CHECK_FALSE(got.has_value());
          continue;
        }
        REQUIRE(got.has_value());
        CHECK(got->scalar_type() == dtype);
        const at::Tensor wanted = at::linear(x.to(at::kDouble), exact.to(at::kDouble), bias.to(at::kDouble));
        const at::Tensor magnitude =
            at::linear(x.to(at::kDouble).abs(), exact.to(at::kDouble).abs(), bias.to(at::kDouble).abs());
        // fp32 sums of `in` terms, then half a unit of the result's type.
        const double unit = dtype == at::kFloat ? 0 : dtype == at::kBFloat16 ? 0x1p-8 : 0x1p-11;
        const at::Tensor allowed = wanted.abs() * unit + magnitude * 0x1p-22;
        CHECK(((got->to(at::kDouble) - wanted).abs() <= allowed).all().item<bool>());
      }
    }
  }
}

}  // namespace

TEST_CASE("products with NF4 matrices are those with the matrix brought back", "[kernels][nf4]") {
  check_products(at::kCPU);
}

TEST_CASE("products with NF4 matrices are those with the matrix brought back, on a GPU", "[kernels][nf4][cuda]") {
  if (cuda_available()) {
    check_products(at::kCUDA);
    const detail::gpu_kernels_wanted kernels(true);  // those of decode steps
    check_products(at::kCUDA);
  }
}

TEST_CASE("a product with an NF4 matrix rounds values to the matrix's type before it multiplies", "[kernels][nf4]") {
  at::manual_seed(8);
  for (const at::ScalarType stored : {at::kBFloat16, at::kHalf}) {
    const nf4_matrix matrix = quantize_nf4(at::randn({24, 128}).to(stored));
    const at::Tensor x = at::randn({2, 128});
    const at::Tensor wanted = at::linear(x, dequantize_nf4(matrix).to(at::kFloat));
    const at::Tensor got = detail::nf4_product(x, matrix, {}).value();
    CHECK((got - wanted).abs().max().item<float>() < 1e-4F);
    nf4_matrix wide = matrix;
    wide.dtype = at::kFloat;
    const at::Tensor unrounded = detail::nf4_product(x, wide, {}).value();
    CHECK((unrounded - wanted).abs().max().item<float>() > 1e-4F);
  }
}

TEST_CASE("a product with an NF4 matrix takes x of any leading axes and strides", "[kernels][nf4]") {
  at::manual_seed(9);
  const nf4_matrix matrix = quantize_nf4(at::randn({10, 64}));
  const at::Tensor x = at::randn({64, 3, 2}).permute({1, 2, 0});
  const at::Tensor got = detail::nf4_product(x, matrix, {}).value();
  CHECK(got.sizes() == at::IntArrayRef{3, 2, 10});
  CHECK((got - at::linear(x, dequantize_nf4(matrix))).abs().max().item<float>() < 1e-4F);
}

TEST_CASE("what the NF4 kernels do not take is left to the matrix brought back", "[kernels][nf4]") {
  const nf4_matrix matrix = quantize_nf4(at::randn({4, 64}).to(at::kHalf));
  CHECK_FALSE(detail::nf4_product(at::randn({1, 64}).requires_grad_(), matrix, {}));
  CHECK_FALSE(detail::nf4_product(at::randn({1, 64}).to(at::kBFloat16), matrix, {}));
  CHECK_FALSE(detail::nf4_product(at::randn({17, 64}), matrix, {}));
  CHECK_FALSE(detail::nf4_product(at::randn({1, 3}), quantize_nf4(at::randn({4, 3})), {}));
  const at::NoGradGuard without;
  CHECK(detail::nf4_product(at::randn({1, 64}).requires_grad_(), matrix, {}));
}

TEST_CASE("NF4 operators refuse by name what does not fit", "[kernels][nf4]") {
  const nf4_matrix matrix = quantize_nf4(at::randn({4, 64}));
  const auto complaint = [&](const at::Tensor& x, const at::Tensor& absmax, const optional_tensor& offset,
                             std::int64_t out, std::int64_t block_size) {
    static const auto called =
        c10::Dispatcher::singleton()
            .findSchemaOrThrow("kvtransfer::nf4_linear", "")
            .typed<at::Tensor(const at::Tensor&, const optional_tensor&, const at::Tensor&, const at::Tensor&,
                              const optional_tensor&, const optional_tensor&, const optional_tensor&, std::int64_t,
                              std::int64_t, std::int64_t, at::ScalarType)>();
    return message_of<kvtransfer::error>(
        [&] { (void)called.call(x, {}, matrix.codes, absmax, {}, {}, offset, out, block_size, 256, at::kFloat); });
  };
  const at::Tensor x = at::randn({1, 64});
  const at::Tensor& absmax = matrix.absmax;
  CHECK(complaint(x, absmax, {}, 4, 64).empty());
  CHECK_THAT(complaint(at::randn({2, 63}), absmax, {}, 4, 64), contains("nf4_linear: x: expected [..., 64]"));
  CHECK_THAT(complaint(x, absmax.slice(0, 0, 3), {}, 4, 64), contains("absmax: expected 4 elements of Float"));
  CHECK_THAT(complaint(x, absmax, {}, 4, 48), contains("block_size: expected a power of two, 8 or more, got 48"));
  CHECK_THAT(complaint(x, absmax, at::zeros({}), 4, 64), contains("nested scales"));
  CHECK_THAT(complaint(x, absmax, {}, 3, 64), contains("codes: expected rows of a multiple of 8 elements"));
}
