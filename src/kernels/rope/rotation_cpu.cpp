#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <string>

#include "kernels/rope/cpu_variant.hpp"
#include "kernels/rope/rotation_launch.hpp"
#include "kernels/rope/rotation_order.hpp"

#if AT_PARALLEL_OPENMP && !defined(_OPENMP)
#error "compile with OpenMP (-fopenmp): without it at::parallel_for runs on one thread, and says nothing"
#endif

namespace kvtransfer::rope::kernels {

const cpu_variant& best_variant() {
#if defined(__x86_64__)
  const std::string capability = at::get_cpu_capability();
  if (capability == "AVX512") {
    return avx512_variant;
  }
  if (capability == "AVX2") {
    return avx2_variant;
  }
#endif
  return scalar_variant;
}

void rotate_on_cpu(const rotation_arguments& arguments, const layer_keys* layers, std::int64_t count_of_layers) {
  static const auto rotate_range = best_variant().rotate_range;
  constexpr std::int64_t elements_worth_a_thread = 32768;
  const rotation_order order = order_of(arguments, count_of_layers);
  const std::int64_t elements =
      order.rows * order.outer_batch * order.outer_heads * arguments.seq * 2 * arguments.pairs;
  at::parallel_for(0, order.units, elements_worth_a_thread * order.units / elements + 1,
                   [&](std::int64_t begin, std::int64_t end) { rotate_range(arguments, layers, order, begin, end); });
}

}  // namespace kvtransfer::rope::kernels
