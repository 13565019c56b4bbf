#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <string>

#include "kernels/rope/turn_launch.hpp"

#if AT_PARALLEL_OPENMP && !defined(_OPENMP)
#error "compile with OpenMP (-fopenmp): without it at::parallel_for runs on one thread, and says nothing"
#endif

namespace kvtransfer::rope::kernels {
namespace {

using turn_range_function = decltype(&turn_range_scalar);

/// The best kernel for this machine. ATEN_CPU_CAPABILITY=avx2 or =default holds it back, as it does torch's own
/// kernels.
turn_range_function best_turn_range() {
#if defined(__x86_64__)
  const std::string capability = at::get_cpu_capability();
  if (capability == "AVX512") {
    return turn_range_avx512;
  }
  if (capability == "AVX2") {
    return turn_range_avx2;
  }
#endif
  return turn_range_scalar;
}

}  // namespace

void turn_on_cpu(const turn_arguments& arguments, const layer_keys* layers, std::int64_t count_of_layers) {
  static const turn_range_function turn_range = best_turn_range();
  constexpr std::int64_t elements_worth_a_thread = 32768;
  const turn_order order = order_of(arguments, count_of_layers);
  const std::int64_t elements =
      order.rows * order.outer_batch * order.outer_heads * arguments.seq * 2 * arguments.pairs;
  at::parallel_for(0, order.units, elements_worth_a_thread * order.units / elements + 1,
                   [&](std::int64_t begin, std::int64_t end) { turn_range(arguments, layers, order, begin, end); });
}

}  // namespace kvtransfer::rope::kernels
