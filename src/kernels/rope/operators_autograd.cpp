#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <string_view>
#include <tuple>
#include <utility>

#include "kernels/dispatched.hpp"
#include "kernels/in_place.hpp"
#include "kernels/operator_functions.hpp"

// Gradients. A rotated copy is a rotation times the gain, so its gradient is rotated the other way, times the gain: the
// same operator with the two sides exchanged. The positions and frequencies that it needs are saved as autograd saves
// what it needs: one that was changed before the gradient is asked for is an error. What is changed in place keeps no
// history, so a tensor that needs a gradient is refused; so are frequencies that need one, and forward-mode duals.

namespace kvtransfer::kernels {
namespace {

/// The same rotation backwards. A shared delta has one specification, which stays where it is.
rotation_tensors reversed(rotation_tensors rotation) {
  const bool shared = !rotation.from_positions.has_value() && !rotation.to_positions.has_value();
  std::swap(rotation.from_positions, rotation.to_positions);
  rotation.delta = -rotation.delta;
  if (!shared) {
    std::swap(rotation.from_inv_freq, rotation.to_inv_freq);
  }
  return rotation;
}

/// The tensors of a rotation, undefined where it has none.
torch::autograd::variable_list tensors_of(const rotation_tensors& rotation) {
  return {rotation.from_positions.value_or(at::Tensor()), rotation.to_positions.value_or(at::Tensor()),
          rotation.from_inv_freq.value_or(at::Tensor()), rotation.to_inv_freq.value_or(at::Tensor()),
          rotation.stream_of.value_or(at::Tensor())};
}

optional_tensor given(const at::Tensor& tensor) { return tensor.defined() ? optional_tensor(tensor) : std::nullopt; }

/// `rotation` with other tensors, in the order of `tensors_of`.
rotation_tensors with_tensors(rotation_tensors rotation, const torch::autograd::variable_list& tensors) {
  rotation.from_positions = given(tensors[0]);
  rotation.to_positions = given(tensors[1]);
  rotation.from_inv_freq = given(tensors[2]);
  rotation.to_inv_freq = given(tensors[3]);
  rotation.stream_of = given(tensors[4]);
  return rotation;
}

void refuse_frequency_gradients(const rotation_tensors& rotation, std::string_view where) {
  for (const optional_tensor& inv_freq : {rotation.from_inv_freq, rotation.to_inv_freq}) {
    if (inv_freq.has_value()) {
      refuse_gradients({*inv_freq}, where, "inv_freq", "frequencies that need no gradient (a move has none for them)");
    }
  }
}

c10::IValue as_value(const rotation_tensors& rotation) {
  c10::impl::GenericList values(c10::AnyType::get());
  std::apply([&](const auto&... arguments) { (values.push_back(arguments), ...); }, rotation.arguments());
  return values;
}

template <class... Arguments>
rotation_tensors rotation_in(const c10::IValue& value, const std::tuple<const Arguments&...>&) {
  const c10::IValue* next = value.toListRef().data();
  return {(next++)->to<Arguments>()...};  // from left to right, as an initializer list is read
}

class differentiable_rotation : public torch::autograd::Function<differentiable_rotation> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, at::TensorList keys,
                                                const rotation_tensors& rotation) {
    context->save_for_backward(tensors_of(rotation));
    context->saved_data["rotation"] = as_value(with_tensors(rotation, torch::autograd::variable_list(5)));
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    return dispatched::rotate_keys(rotation, keys);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const rotation_tensors rotation = with_tensors(
        rotation_in(context->saved_data["rotation"], rotation_tensors().arguments()), context->get_saved_variables());
    torch::autograd::variable_list rotated = dispatched::rotate_keys(reversed(rotation), gradients);
    rotated.emplace_back();  // for the rotation, which has no gradient
    return rotated;
  }
};

std::vector<at::Tensor> rotate_keys(const rotation_tensors& rotation, at::TensorList keys) {
  refuse_tangents({keys}, "rotate_keys", "keys", "keys without a forward-mode tangent (only gradients go back)");
  refuse_frequency_gradients(rotation, "rotate_keys");
  return differentiable_rotation::apply(keys, rotation);
}

constexpr const char* no_gradient = "tensors that need no gradient (out of place, the operation is differentiable)";

void rotate_keys_(const rotation_tensors& rotation, at::TensorList keys) {
  refuse_frequency_gradients(rotation, "rotate_keys_");
  below_autograd({keys}, "rotate_keys_", "keys", no_gradient, [&] { dispatched::rotate_keys_(rotation, keys); });
}

void rotate_blocks_(const rotation_tensors& rotation, at::TensorList keys, const at::Tensor& blocks) {
  refuse_frequency_gradients(rotation, "rotate_blocks_");
  below_autograd({keys}, "rotate_blocks_", "keys", no_gradient,
                 [&] { dispatched::rotate_blocks_(rotation, keys, blocks); });
}

void rotate_quantized_keys_(const rotation_tensors& rotation, const quantized_layers& keys) {
  refuse_frequency_gradients(rotation, "rotate_quantized_keys_");
  below_autograd({keys.codes, keys.scales, keys.minimums, keys.errors}, "rotate_quantized_keys_", "scales",
                 "tensors that need no gradient", [&] { dispatched::rotate_quantized_keys_(rotation, keys); });
}

void convert_pairing_(at::TensorList keys, std::int64_t window_offset, std::int64_t rotary_dim, bool to_interleaved) {
  below_autograd({keys}, "convert_pairing_", "keys", no_gradient,
                 [&] { dispatched::convert_pairing_(keys, window_offset, rotary_dim, to_interleaved); });
}

}  // namespace
}  // namespace kvtransfer::kernels

TORCH_LIBRARY_IMPL(kvtransfer, Autograd, library) {
  using namespace kvtransfer::kernels;
  library.impl("rotate_keys", TORCH_FN(operator_function<&rotate_keys>));
  library.impl("rotate_keys_", TORCH_FN(operator_function<&rotate_keys_>));
  library.impl("rotate_blocks_", TORCH_FN(operator_function<&rotate_blocks_>));
  library.impl("rotate_quantized_keys_", TORCH_FN(quantized_operator_function<&rotate_quantized_keys_>));
  library.impl("convert_pairing_", TORCH_FN(convert_pairing_));
}
