#pragma once

#include <cstdint>
#include <string_view>

namespace kvtransfer {

/// Who does the work of an operation that has a kernel.
enum class implementation : std::uint8_t {
  automatic,  ///< the fused kernel where one is loaded and can read the tensors, otherwise the reference
  reference,  ///< a composition of ATen operations: every device, float64 too
  fused,      ///< the kernel of `kvtransfer::kernels`, or an error
};

/// Its name, as errors and records show it.
[[nodiscard]] constexpr std::string_view to_string(implementation value) {
  return value == implementation::automatic   ? "automatic"
         : value == implementation::reference ? "reference"
         : value == implementation::fused     ? "fused"
                                              : "unknown";
}

}  // namespace kvtransfer
