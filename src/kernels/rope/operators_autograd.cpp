#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kvtransfer/core/error.hpp"
#include "kernels/rope/operators.hpp"

// Gradients. A rotated copy is a rotation times the gain, so its gradient is rotated the other way, times the gain: the
// same operator with the two sides exchanged. What is rotated in place keeps no history, so a tensor that needs a
// gradient is refused.

namespace kvtransfer::rope::kernels {
namespace {

using rotation_signature = std::vector<at::Tensor>(at::TensorList, const optional_tensor&, const optional_tensor&,
                                               std::int64_t, const optional_tensor&, const optional_tensor&,
                                               const optional_tensor&, double, std::int64_t, bool, bool);
using rotation_in_place_signature = void(at::TensorList, const optional_tensor&, const optional_tensor&, std::int64_t,
                                     const optional_tensor&, const optional_tensor&, const optional_tensor&, double,
                                     std::int64_t, bool, bool);
using rotate_blocks_signature = void(at::TensorList, const at::Tensor&, const optional_tensor&, const optional_tensor&,
                                 std::int64_t, const optional_tensor&, const optional_tensor&, const optional_tensor&,
                                 double, std::int64_t, bool, bool);
using convert_signature = void(at::TensorList, std::int64_t, std::int64_t, bool);

template <class Signature>
c10::TypedOperatorHandle<Signature> find(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

std::vector<at::Tensor> rotate_copies(at::TensorList keys, const rotation_tensors& rotation) {
  static const auto rotation_operator = find<rotation_signature>("kvtransfer::rotate_keys");
  return rotation_operator.call(keys, rotation.from, rotation.to, rotation.delta, rotation.from_inv_freq, rotation.to_inv_freq, rotation.stream_of,
                            rotation.gain, rotation.window_offset, rotation.interleaved, rotation.model_faithful);
}

/// The same rotation backwards. A shared delta has one specification, which stays where it is.
rotation_tensors reversed(rotation_tensors rotation) {
  const bool shared = !rotation.from.has_value() && !rotation.to.has_value();
  std::swap(rotation.from, rotation.to);
  rotation.delta = -rotation.delta;
  if (!shared) {
    std::swap(rotation.from_inv_freq, rotation.to_inv_freq);
  }
  return rotation;
}

class differentiable_rotation : public torch::autograd::Function<differentiable_rotation> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, at::TensorList keys,
                                                const rotation_tensors& rotation) {
    auto& saved = context->saved_data;
    saved["keys"] = static_cast<std::int64_t>(keys.size());
    saved["from"] = rotation.from;
    saved["to"] = rotation.to;
    saved["delta"] = rotation.delta;
    saved["from_inv_freq"] = rotation.from_inv_freq;
    saved["to_inv_freq"] = rotation.to_inv_freq;
    saved["stream_of"] = rotation.stream_of;
    saved["gain"] = rotation.gain;
    saved["window_offset"] = rotation.window_offset;
    saved["interleaved"] = rotation.interleaved;
    saved["model_faithful"] = rotation.model_faithful;
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    return rotate_copies(keys, rotation);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    auto& saved = context->saved_data;
    const rotation_tensors rotation{saved["from"].toOptional<at::Tensor>(),
                            saved["to"].toOptional<at::Tensor>(),
                            saved["delta"].toInt(),
                            saved["from_inv_freq"].toOptional<at::Tensor>(),
                            saved["to_inv_freq"].toOptional<at::Tensor>(),
                            saved["stream_of"].toOptional<at::Tensor>(),
                            saved["gain"].toDouble(),
                            saved["window_offset"].toInt(),
                            saved["interleaved"].toBool(),
                            saved["model_faithful"].toBool()};
    torch::autograd::variable_list rotated = rotate_copies(gradients, reversed(rotation));
    rotated.emplace_back();  // for `rotate_keys`, which has no gradient
    return rotated;
  }
};

std::vector<at::Tensor> rotation_autograd(at::TensorList keys, const optional_tensor& from, const optional_tensor& to,
                                      std::int64_t delta, const optional_tensor& from_inv_freq,
                                      const optional_tensor& to_inv_freq, const optional_tensor& stream_of, double gain,
                                      std::int64_t window_offset, bool interleaved, bool model_faithful) {
  return differentiable_rotation::apply(keys, rotation_tensors{from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain,
                                                       window_offset, interleaved, model_faithful});
}

/// Refuses keys that need gradients, and tells autograd that the rest have changed.
void prepare_in_place(at::TensorList keys, std::string_view where) {
  for (const at::Tensor& key : keys) {
    if (at::GradMode::is_enabled() && key.requires_grad()) {
      fail<value_error>(where, "keys", "tensors that need no gradient (out of place, the operation is differentiable)",
                        "one that requires_grad");
    }
    key.unsafeGetTensorImpl()->bump_version();
  }
}

void rotation_in_place_autograd(at::TensorList keys, const optional_tensor& from, const optional_tensor& to,
                            std::int64_t delta, const optional_tensor& from_inv_freq,
                            const optional_tensor& to_inv_freq, const optional_tensor& stream_of, double gain,
                            std::int64_t window_offset, bool interleaved, bool model_faithful) {
  prepare_in_place(keys, "rotate_keys_");
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  static const auto rotation_operator = find<rotation_in_place_signature>("kvtransfer::rotate_keys_");
  rotation_operator.call(keys, from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset, interleaved,
                     model_faithful);
}

void rotate_blocks_autograd(at::TensorList keys, const at::Tensor& rows, const optional_tensor& from,
                        const optional_tensor& to, std::int64_t delta, const optional_tensor& from_inv_freq,
                        const optional_tensor& to_inv_freq, const optional_tensor& stream_of, double gain,
                        std::int64_t window_offset, bool interleaved, bool model_faithful) {
  prepare_in_place(keys, "rotate_blocks_");
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  static const auto rotation_operator = find<rotate_blocks_signature>("kvtransfer::rotate_blocks_");
  rotation_operator.call(keys, rows, from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset,
                     interleaved, model_faithful);
}

void convert_pairing_autograd(at::TensorList keys, std::int64_t window_offset, std::int64_t rotary_dim,
                              bool to_interleaved) {
  prepare_in_place(keys, "convert_pairing_");
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  static const auto convert_operator = find<convert_signature>("kvtransfer::convert_pairing_");
  convert_operator.call(keys, window_offset, rotary_dim, to_interleaved);
}

}  // namespace
}  // namespace kvtransfer::rope::kernels

TORCH_LIBRARY_IMPL(kvtransfer, Autograd, library) {
  using namespace kvtransfer::rope::kernels;
  library.impl("rotate_keys", TORCH_FN(rotation_autograd));
  library.impl("rotate_keys_", TORCH_FN(rotation_in_place_autograd));
  library.impl("rotate_blocks_", TORCH_FN(rotate_blocks_autograd));
  library.impl("convert_pairing_", TORCH_FN(convert_pairing_autograd));
}
