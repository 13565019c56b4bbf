// The blocks around a decode step's products against the same in double, on the CPU and on a GPU.

#include <ATen/TensorOperators.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "support/tensors.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

using optional_tensor = std::optional<at::Tensor>;

template <class Signature>
auto operator_of(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

/// Half a unit of the last place, relative.
double rounding_of(at::ScalarType dtype) {
  return dtype == at::kFloat ? 0x1p-22 : dtype == at::kBFloat16 ? 0x1p-8 : 0x1p-11;
}

/// To so much of itself and of the largest: a sum whose terms cancel is as far off as its terms.
bool is_near(const at::Tensor& got, const at::Tensor& wanted, double relative) {
  const at::Tensor exact = wanted.to(at::kDouble);
  return exact.numel() == 0 ||
         ((got.to(at::kDouble) - exact).abs() <= exact.abs().add(exact.abs().max()).mul(relative)).all().item<bool>();
}

at::Tensor exact_norm(const at::Tensor& x, const at::Tensor& weight, double eps, bool adds_one) {
  const at::Tensor wide = x.to(at::kDouble);
  const at::Tensor factor = weight.to(at::kDouble) + (adds_one ? 1 : 0);
  return wide * at::rsqrt(wide.square().mean(-1, true) + eps) * factor;
}

const std::vector<at::ScalarType> block_dtypes{at::kFloat, at::kBFloat16, at::kHalf};

void check_norms(at::Device device) {
  at::manual_seed(3);
  const auto norm = operator_of<at::Tensor(const at::Tensor&, const at::Tensor&, double, bool)>("kvtransfer::rms_norm");
  const auto add_norm = operator_of<std::tuple<at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, const at::Tensor&, double, bool)>("kvtransfer::add_rms_norm");
  for (const at::ScalarType dtype : block_dtypes) {
    for (const std::vector<std::int64_t>& shape :
         std::vector<std::vector<std::int64_t>>{{1, 1, 576}, {3, 2048}, {2, 5, 4, 64}, {1, 7}, {0, 8}}) {
      for (const bool adds_one : {false, true}) {
        CAPTURE(at::toString(dtype), shape, adds_one);
        const at::Tensor x = at::randn(shape).to(device, dtype);
        const at::Tensor more = at::randn(shape).to(device, dtype);
        const at::Tensor weight = at::randn({shape.back()}).to(device, dtype);
        CHECK(is_near(norm.call(x, weight, 1e-5, adds_one), exact_norm(x, weight, 1e-5, adds_one),
                      2 * rounding_of(dtype)));
        const auto [sum, normed] = add_norm.call(x, more, weight, 1e-5, adds_one);
        CHECK(at::equal(sum, x + more));
        CHECK(at::equal(normed, norm.call(sum, weight, 1e-5, adds_one)));
      }
    }
  }
}

void check_gates(at::Device device) {
  at::manual_seed(4);
  const auto gated =
      operator_of<at::Tensor(const at::Tensor&, const at::Tensor&, std::string_view)>("kvtransfer::gated_activation");
  for (const at::ScalarType dtype : block_dtypes) {
    const at::Tensor both = at::randn({2, 3, 2 * 1032}).to(device, dtype) * 3;
    const at::Tensor gate = both.slice(-1, 0, 1032);
    const at::Tensor up = both.slice(-1, 1032);
    const at::Tensor wide = gate.to(at::kDouble);
    for (const std::string name : {"silu", "gelu", "gelu_tanh"}) {
      CAPTURE(at::toString(dtype), name);
      const at::Tensor activated = name == "silu" ? at::silu(wide) : at::gelu(wide, name == "gelu" ? "none" : "tanh");
      CHECK(is_near(gated.call(gate, up, name), activated * up.to(at::kDouble), 4 * rounding_of(dtype)));
    }
    CHECK_THROWS_AS(gated.call(gate, up, "relu"), value_error);
  }
}

void check_few_rows(at::Device device) {
  at::manual_seed(5);
  const auto multiply = operator_of<at::Tensor(const at::Tensor&, const at::Tensor&, const optional_tensor&)>(
      "kvtransfer::few_rows_linear");
  for (const at::ScalarType dtype : block_dtypes) {
    if (dtype == at::kHalf && device.is_cpu()) {
      continue;
    }
    for (const auto& [out, in] : std::vector<std::pair<std::int64_t, std::int64_t>>{
             {1, 8}, {3, 72}, {257, 576}, {64, 1536}, {130, 264}, {7, 5632}}) {
      std::vector<std::int64_t> counts{0, 1, 2, 3, 4, 5, 6, 7, 8};
      if (device.is_cpu()) {
        counts.push_back(37);
      }
      for (const std::int64_t rows : counts) {
        CAPTURE(at::toString(dtype), out, in, rows);
        const at::Tensor x = at::randn({1, rows, in}).to(device, dtype);
        const at::Tensor weight = at::randn({out, in}).to(device, dtype);
        const at::Tensor bias = at::randn({out}).to(device, dtype);
        for (const optional_tensor& added : {optional_tensor(), optional_tensor(bias)}) {
          const at::Tensor got = multiply.call(x, weight, added);
          const auto wide = [](const at::Tensor& tensor) { return tensor.to(at::kDouble); };
          const at::Tensor with = added ? wide(bias) : at::zeros({out}, wide(bias).options());
          const at::Tensor exact = at::linear(wide(x), wide(weight), with);
          const at::Tensor magnitude = at::linear(wide(x).abs(), wide(weight).abs(), with.abs());
          const double unit = dtype == at::kFloat ? 0 : rounding_of(dtype);
          CHECK(got.sizes() == exact.sizes());
          CHECK(((wide(got) - exact).abs() <= exact.abs() * unit + magnitude * 0x1p-21).all().item<bool>());
        }
      }
    }
  }
  const at::Tensor weight = at::randn({4, 8}).to(device);
  if (device.is_cuda()) {
    CHECK_THROWS_AS(multiply.call(at::randn({9, 8}).to(device), weight, std::nullopt), shape_error);
  }
  CHECK_THROWS_AS(multiply.call(at::randn({1, 16}).to(device), weight, std::nullopt), shape_error);
  CHECK_THROWS_AS(multiply.call(at::randn({1, 8}).to(device, at::kBFloat16), weight, std::nullopt), value_error);
  CHECK_THROWS_AS(multiply.call(at::randn({1, 8}).to(device), weight, at::randn({5}).to(device)), shape_error);
}

/// Products with several matrices at once are those with each, and a gate is made of two.
void check_joint_products(at::Device device) {
  at::manual_seed(6);
  const auto wide = [](const at::Tensor& tensor) { return tensor.to(at::kDouble); };
  for (const at::ScalarType dtype : block_dtypes) {
    if (dtype == at::kHalf && device.is_cpu()) {
      continue;
    }
    for (const std::int64_t rows : {1, 2, 5}) {
      for (const std::int64_t in : {8, 576, 5632}) {
        CAPTURE(at::toString(dtype), rows, in);
        const at::Tensor x = at::randn({rows, in}).to(device, dtype);
        std::vector<at::Tensor> weights;
        std::vector<at::Tensor> biases;
        for (const std::int64_t out : {33, 7, 1029}) {
          weights.push_back(at::randn({out, in}).mul_(0.05).to(device, dtype));
          biases.push_back(out == 7 ? at::Tensor() : at::randn({out}).to(device, dtype));
        }
        const auto exact = [&](std::size_t i) {
          const at::Tensor product = at::linear(wide(x), wide(weights[i]));
          return biases[i].defined() ? product + wide(biases[i]) : product;
        };
        const c10::List<optional_tensor> given({biases[0], std::nullopt, biases[2]});
        const auto multiply =
            operator_of<std::vector<at::Tensor>(const at::Tensor&, at::TensorList, const c10::List<optional_tensor>&)>(
                "kvtransfer::few_rows_linears");
        const std::vector<at::Tensor> got = multiply.call(x, weights, given);
        REQUIRE(got.size() == 3);
        for (std::size_t i = 0; i < 3; ++i) {
          CHECK(got[i].sizes() == at::IntArrayRef({rows, weights[i].size(0)}));
          CHECK(is_near(got[i], exact(i), 16 * rounding_of(dtype)));
        }
        const auto gate =
            operator_of<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                   const c10::List<optional_tensor>&, std::string_view)>("kvtransfer::few_rows_gate");
        weights[0] = at::randn({1029, in}).mul_(0.05).to(device, dtype);
        biases[0] = at::Tensor();
        CHECK(
            is_near(gate.call(x, weights[0], weights[2], c10::List<optional_tensor>({std::nullopt, biases[2]}), "silu"),
                    at::silu(exact(0)) * exact(2), 64 * rounding_of(dtype)));
        CHECK_THROWS_AS(
            gate.call(x, weights[0], weights[1], c10::List<optional_tensor>({std::nullopt, std::nullopt}), "silu"),
            shape_error);
      }
    }
  }
}

}  // namespace

TEST_CASE("fused norms are the norm in double, rounded", "[kernels][decode]") { check_norms(at::kCPU); }

TEST_CASE("fused norms are the norm in double, rounded, on a GPU", "[kernels][decode][cuda]") {
  if (cuda_available()) {
    check_norms(at::kCUDA);
  }
}

TEST_CASE("a fused gate is activation times widening, rounded", "[kernels][decode]") { check_gates(at::kCPU); }

TEST_CASE("a fused gate is activation times widening, rounded, on a GPU", "[kernels][decode][cuda]") {
  if (cuda_available()) {
    check_gates(at::kCUDA);
  }
}

TEST_CASE("products of a few rows are those in double, rounded", "[kernels][decode]") { check_few_rows(at::kCPU); }

TEST_CASE("products of a few rows are those in double, rounded, on a GPU", "[kernels][decode][cuda]") {
  if (cuda_available()) {
    check_few_rows(at::kCUDA);
  }
}

TEST_CASE("products with several matrices at once are those with each", "[kernels][decode]") {
  check_joint_products(at::kCPU);
}

TEST_CASE("products with several matrices at once are those with each, on a GPU", "[kernels][decode][cuda]") {
  if (cuda_available()) {
    check_joint_products(at::kCUDA);
  }
}
