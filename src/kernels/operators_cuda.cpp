#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include "kernels/decode/choose_tokens.hpp"
#include "kernels/decode/decode_attention.hpp"
#include "kernels/decode/gated_activation.hpp"
#include "kernels/decode/keep_rotated.hpp"
#include "kernels/decode/rms_norm.hpp"
#include "kernels/linear/few_rows_linear.hpp"
#include "kernels/linear/nf4_joint.hpp"
#include "kernels/linear/nf4_linear.hpp"
#include "kernels/operator_functions.hpp"
#include "kernels/rope/operators.hpp"
#include "kernels/rope/quantized_operators.hpp"
#include "kernels/tensor/copy_slots.hpp"

// The operators on CUDA. This file is compiled where nvcc is there for the kernels; otherwise torch says that there is
// no such kernel. It stands apart from them because nvcc reads the header of torch's registrations three times a file.

namespace kvtransfer::kernels {
namespace {

/// An operator's function with the device of its first list of tensors current.
template <auto Function, class Signature = decltype(Function)>
struct on_device_of_layers;

template <auto Function, class Result, class... Rest>
struct on_device_of_layers<Function, Result (*)(at::TensorList, Rest...)> {
  static Result call(at::TensorList layers, Rest... rest) {
    const c10::cuda::OptionalCUDAGuard guard(layers.empty() ? at::Device(at::kCUDA) : layers.front().device());
    return Function(layers, rest...);
  }
};

template <auto Function>
inline constexpr auto guarded = &on_device_of_layers<Function>::call;

TORCH_LIBRARY_IMPL(kvtransfer, CUDA, library) {
  library.impl("copy_slots_", guarded<&copy_slots_<copy_slots_on_cuda>>);
  library.impl("nf4_linear", TORCH_FN(operator_function<&nf4_linear_on_cuda>));
  library.impl("nf4_dequantize", TORCH_FN(operator_function<&nf4_dequantize_on_cuda>));
  library.impl("nf4_linears", TORCH_FN(nf4_linears_on_cuda));
  library.impl("nf4_gate", TORCH_FN(nf4_gate_on_cuda));
  library.impl("few_rows_linear", TORCH_FN(few_rows_linear_on_cuda));
  library.impl("few_rows_linears", TORCH_FN(few_rows_linears_on_cuda));
  library.impl("few_rows_gate", TORCH_FN(few_rows_gate_on_cuda));
  library.impl("rms_norm", TORCH_FN(rms_norm_on_cuda));
  library.impl("add_rms_norm", TORCH_FN(add_rms_norm_on_cuda));
  library.impl("gated_activation", TORCH_FN(gated_on_cuda));
  library.impl("keep_rotated_", TORCH_FN(operator_function<&keep_rotated_on_cuda>));
  library.impl("decode_attention", TORCH_FN(operator_function<&decode_attention_on_cuda>));
  library.impl("choose_tokens_", TORCH_FN(choose_tokens_on_cuda));

  using namespace rope::kernels;
  library.impl("rotate_keys_", guarded<operator_function<&rotate_keys_<rotate_on_cuda>>>);
  library.impl("rotate_keys", guarded<operator_function<&rotate_keys<rotate_on_cuda>>>);
  library.impl("rotate_blocks_", guarded<operator_function<&rotate_blocks_<rotate_on_cuda>>>);
  library.impl("convert_pairing_", guarded<&convert_pairing_<convert_pairing_on_cuda>>);
  constexpr auto rotate_codes = quantized_operator_function<&rotate_quantized_keys_<rotate_quantized_keys_on_cuda>>;
  library.impl("rotate_quantized_keys_", guarded<rotate_codes>);
}

}  // namespace
}  // namespace kvtransfer::kernels
