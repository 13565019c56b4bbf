#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <string>

#include "kernels/rope/rotation_launch.hpp"

#if AT_PARALLEL_OPENMP && !defined(_OPENMP)
#error "compile with OpenMP (-fopenmp): without it at::parallel_for runs on one thread, and says nothing"
#endif

namespace kvtransfer::rope::kernels {
namespace {

using rotate_range_function = decltype(&rotate_range_scalar);

/// The best kernel for this machine. ATEN_CPU_CAPABILITY=avx2 or =default holds it back, as it does torch's own
/// kernels.
rotate_range_function best_rotate_range() {
#if defined(__x86_64__)
  const std::string capability = at::get_cpu_capability();
  if (capability == "AVX512") {
    return rotate_range_avx512;
  }
  if (capability == "AVX2") {
    return rotate_range_avx2;
  }
#endif
  return rotate_range_scalar;
}

}  // namespace

void rotate_on_cpu(const rotation_arguments& arguments, const layer_keys* layers, std::int64_t count_of_layers) {
  static const rotate_range_function rotate_range = best_rotate_range();
  constexpr std::int64_t elements_worth_a_thread = 32768;
  const rotation_order order = order_of(arguments, count_of_layers);
  const std::int64_t elements =
      order.rows * order.outer_batch * order.outer_heads * arguments.seq * 2 * arguments.pairs;
  at::parallel_for(0, order.units, elements_worth_a_thread * order.units / elements + 1,
                   [&](std::int64_t begin, std::int64_t end) { rotate_range(arguments, layers, order, begin, end); });
}

}  // namespace kvtransfer::rope::kernels
