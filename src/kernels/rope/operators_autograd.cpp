#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kvtransfer/core/error.hpp"
#include "kernels/rope/operators.hpp"

// Gradients. A turned copy is a rotation times the gain, so its gradient is turned the other way, times the gain: the
// same operator with the two sides exchanged. What is turned in place keeps no history, so a tensor that needs a
// gradient is refused.

namespace kvtransfer::rope::kernels {
namespace {

using turn_signature = std::vector<at::Tensor>(at::TensorList, const optional_tensor&, const optional_tensor&,
                                               std::int64_t, const optional_tensor&, const optional_tensor&,
                                               const optional_tensor&, double, std::int64_t, bool, bool);
using turn_in_place_signature = void(at::TensorList, const optional_tensor&, const optional_tensor&, std::int64_t,
                                     const optional_tensor&, const optional_tensor&, const optional_tensor&, double,
                                     std::int64_t, bool, bool);
using turn_rows_signature = void(at::TensorList, const at::Tensor&, const optional_tensor&, const optional_tensor&,
                                 std::int64_t, const optional_tensor&, const optional_tensor&, const optional_tensor&,
                                 double, std::int64_t, bool, bool);
using convert_signature = void(at::TensorList, std::int64_t, std::int64_t, bool);

template <class Signature>
c10::TypedOperatorHandle<Signature> find(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

std::vector<at::Tensor> turn_copies(at::TensorList keys, const turn_tensors& turn) {
  static const auto turn_operator = find<turn_signature>("kvtransfer::turn");
  return turn_operator.call(keys, turn.from, turn.to, turn.delta, turn.from_inv_freq, turn.to_inv_freq, turn.stream_of,
                            turn.gain, turn.window_offset, turn.interleaved, turn.model_faithful);
}

/// The same turn backwards. A shared delta has one specification, which stays where it is.
turn_tensors reversed(turn_tensors turn) {
  const bool shared = !turn.from.has_value() && !turn.to.has_value();
  std::swap(turn.from, turn.to);
  turn.delta = -turn.delta;
  if (!shared) {
    std::swap(turn.from_inv_freq, turn.to_inv_freq);
  }
  return turn;
}

class differentiable_turn : public torch::autograd::Function<differentiable_turn> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, at::TensorList keys,
                                                const turn_tensors& turn) {
    auto& saved = context->saved_data;
    saved["keys"] = static_cast<std::int64_t>(keys.size());
    saved["from"] = turn.from;
    saved["to"] = turn.to;
    saved["delta"] = turn.delta;
    saved["from_inv_freq"] = turn.from_inv_freq;
    saved["to_inv_freq"] = turn.to_inv_freq;
    saved["stream_of"] = turn.stream_of;
    saved["gain"] = turn.gain;
    saved["window_offset"] = turn.window_offset;
    saved["interleaved"] = turn.interleaved;
    saved["model_faithful"] = turn.model_faithful;
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    return turn_copies(keys, turn);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    auto& saved = context->saved_data;
    const turn_tensors turn{saved["from"].toOptional<at::Tensor>(),
                            saved["to"].toOptional<at::Tensor>(),
                            saved["delta"].toInt(),
                            saved["from_inv_freq"].toOptional<at::Tensor>(),
                            saved["to_inv_freq"].toOptional<at::Tensor>(),
                            saved["stream_of"].toOptional<at::Tensor>(),
                            saved["gain"].toDouble(),
                            saved["window_offset"].toInt(),
                            saved["interleaved"].toBool(),
                            saved["model_faithful"].toBool()};
    torch::autograd::variable_list turned = turn_copies(gradients, reversed(turn));
    turned.emplace_back();  // for `turn`, which has no gradient
    return turned;
  }
};

std::vector<at::Tensor> turn_autograd(at::TensorList keys, const optional_tensor& from, const optional_tensor& to,
                                      std::int64_t delta, const optional_tensor& from_inv_freq,
                                      const optional_tensor& to_inv_freq, const optional_tensor& stream_of, double gain,
                                      std::int64_t window_offset, bool interleaved, bool model_faithful) {
  return differentiable_turn::apply(keys, turn_tensors{from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain,
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

void turn_in_place_autograd(at::TensorList keys, const optional_tensor& from, const optional_tensor& to,
                            std::int64_t delta, const optional_tensor& from_inv_freq,
                            const optional_tensor& to_inv_freq, const optional_tensor& stream_of, double gain,
                            std::int64_t window_offset, bool interleaved, bool model_faithful) {
  prepare_in_place(keys, "turn_");
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  static const auto turn_operator = find<turn_in_place_signature>("kvtransfer::turn_");
  turn_operator.call(keys, from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset, interleaved,
                     model_faithful);
}

void turn_rows_autograd(at::TensorList keys, const at::Tensor& rows, const optional_tensor& from,
                        const optional_tensor& to, std::int64_t delta, const optional_tensor& from_inv_freq,
                        const optional_tensor& to_inv_freq, const optional_tensor& stream_of, double gain,
                        std::int64_t window_offset, bool interleaved, bool model_faithful) {
  prepare_in_place(keys, "turn_rows_");
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  static const auto turn_operator = find<turn_rows_signature>("kvtransfer::turn_rows_");
  turn_operator.call(keys, rows, from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset,
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
  library.impl("turn", TORCH_FN(turn_autograd));
  library.impl("turn_", TORCH_FN(turn_in_place_autograd));
  library.impl("turn_rows_", TORCH_FN(turn_rows_autograd));
  library.impl("convert_pairing_", TORCH_FN(convert_pairing_autograd));
}
