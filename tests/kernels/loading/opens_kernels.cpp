// opens_kernels fused|reference [LIBRARY]: opens LIBRARY once a rotation has run without it, and fails unless the next
// one runs on what is named, with the same keys.

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/move_tensor.hpp"

namespace {

using namespace kvtransfer;

bool is_refused(const at::Tensor& keys, const rotary_specification& specification) {
  try {
    rope::shift_(keys, 1, specification, {.use = implementation::fused});
    return false;
  } catch (const device_error&) {
    return true;
  }
}

int fails(std::string_view what) {
  fmt::print(stderr, "opens_kernels: {}\n", what);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const rotary_specification specification{.inv_freq = {1.0F, 0.1F, 0.01F, 0.001F}};
  std::vector<float> elements(2 * 6 * 8);
  for (std::size_t i = 0; i < elements.size(); ++i) {
    elements[i] = static_cast<float>(i % 7) - 3;
  }
  const at::Tensor keys = detail::new_tensor({1, 2, 6, 8}, at::kFloat);
  std::copy(elements.begin(), elements.end(), keys.mutable_data_ptr<float>());
  if (rope::implementation_used(keys) != implementation::reference || !is_refused(keys, specification)) {
    return fails("expected no kernels before a library is opened");
  }
  const at::Tensor expected = rope::shift(keys, 100, specification);
  if (argc > 2 && dlopen(argv[2], RTLD_NOW | RTLD_LOCAL) == nullptr) {
    return fails(dlerror());
  }
  const bool finds_kernels = std::string_view(argv[1]) == "fused";
  if (rope::implementation_used(keys) != (finds_kernels ? implementation::fused : implementation::reference)) {
    return fails(fmt::format("expected {}, got {}", argv[1], to_string(rope::implementation_used(keys))));
  }
  const double difference = rope::shift(keys, 100, specification).sub(expected).abs().max().item<double>();
  return difference < 1e-5 ? 0 : fails(fmt::format("expected the same keys, got a difference of {}", difference));
}
