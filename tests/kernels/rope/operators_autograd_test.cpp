#include <ATen/ops/randn_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "kernels/rope/rotation_cases.hpp"
#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

namespace kvtransfer::test::kernels {
namespace {

double inner(const std::vector<at::Tensor>& left, const std::vector<at::Tensor>& right) {
  double sum = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    sum += (left[i].to(at::kDouble) * right[i].to(at::kDouble)).sum().item<double>();
  }
  return sum;
}

}  // namespace

TEST_CASE("the gradient of a rotation is the adjoint of the rotation", "[rope][kernels][operators_autograd]") {
  // <upstream, rotate(x)> = <gradient, x> for every x, because a rotation is linear.
  for (kernel_rotation rotation : kinds_of_rotation({16, 4, 24}, 2, 3, 7)) {
    for (const bool interleaved : {false, true}) {
      rotation.interleaved = interleaved;
      std::vector<at::Tensor> keys;
      std::vector<at::Tensor> upstream;
      for (std::uint64_t layer = 0; layer < 2; ++layer) {
        keys.push_back(random_keys({2, 3, 7, 24}, at::kFloat, layer).requires_grad_());
        upstream.push_back(random_keys({2, 3, 7, 24}, at::kFloat, 10 + layer));
      }
      const auto gradients = torch::autograd::grad(rotated_by_kernel(keys, rotation), keys, upstream);
      const std::vector<at::Tensor> others = {random_keys({2, 3, 7, 24}, at::kFloat, 20),
                                              random_keys({2, 3, 7, 24}, at::kFloat, 21)};
      CHECK(inner(gradients, others) == Approx(inner(upstream, rotated_by_kernel(others, rotation))).epsilon(1e-5));
    }
  }
}

TEST_CASE("an expanded gradient is rotated like any other", "[rope][kernels][operators_autograd]") {
  const at::Tensor keys = random_keys({1, 2, 5, 8}).requires_grad_();
  const kernel_rotation rotation{.delta = 3, .to_inv_freq = plain_frequencies(4)};
  const kernel_rotation back{.delta = -3, .to_inv_freq = plain_frequencies(4)};
  rotated_by_kernel({keys}, rotation)[0].sum().backward();
  CHECK(relative_error(keys.grad(), rotated_in_double(at::ones_like(keys), back)) < 1e-6);
}

TEST_CASE("what needs a gradient is not rotated in place", "[rope][kernels][operators_autograd]") {
  const at::Tensor keys = random_keys({1, 2, 5, 8}).requires_grad_();
  const kernel_rotation rotation{.delta = 3, .to_inv_freq = plain_frequencies(4)};
  CHECK_THAT(message_of<value_error>([&] { rotate_by_kernel({keys}, rotation); }), contains("one that requires_grad"));
  CHECK_THAT(message_of<value_error>([&] { rotate_by_kernel({keys.view({2, 1, 5, 8})}, rotation); }),
             contains("one that requires_grad"));
}

TEST_CASE("autograd learns of keys that were rotated in place", "[rope][kernels][operators_autograd]") {
  const at::Tensor keys = random_keys({1, 2, 5, 8});
  const at::Tensor weight = random_keys({1, 2, 5, 8}).requires_grad_();
  const at::Tensor product = keys * weight;  // saves keys
  rotate_by_kernel({keys}, {.delta = 3, .to_inv_freq = plain_frequencies(4)});
  CHECK_THROWS(product.sum().backward());
}

}  // namespace kvtransfer::test::kernels
