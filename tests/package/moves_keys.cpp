// A program of somebody else's: moves keys and checks that they landed where the model would have written them.

#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>

#include "kvtransfer/rope/move_tensor.hpp"

int main(int argc, char**) {
  namespace rope = kvtransfer::rope;
  const kvtransfer::rotary_specification specification{.inv_freq = {1.0F, 0.1F, 0.01F, 0.001F}};
  const at::Tensor keys = at::randn({1, 2, 6, 8});
  const at::Tensor moved = rope::shift(rope::rotate(keys, at::arange(6, at::kLong), specification), 100, specification);
  const at::Tensor written = rope::rotate(keys, at::arange(100, 106, at::kLong), specification);

  const std::string_view implementation = to_string(rope::implementation_used(keys));
  const bool equal = at::allclose(moved, written, 1e-4, 1e-4);
  fmt::print("{} implementation: {}\n", implementation, equal ? "equal" : "different");
  // An argument means that the kernels were linked, so they must have registered themselves.
  return equal && (argc < 2 || implementation == "fused") ? 0 : 1;
}
