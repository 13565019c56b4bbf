#include "kvtransfer/tensor/kernel_table.hpp"

#include <ATen/core/dispatch/Dispatcher.h>

#include <tuple>

#include "kernels/dispatched.hpp"
#include "kernels/operator_functions.hpp"

namespace kvtransfer::kernels {
namespace {

/// The typed handle of the operator `name`; looked up once by each caller.
template <class Function>
auto find(const char* name, Function*) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Function>();
}

/// An operator that has the arguments of `Function`, which takes structs.
template <auto Function>
auto find_flat(const char* name) {
  return find(name, operator_function<Function>);
}

/// Calls an operator with a struct's arguments behind those that are given.
template <class Operator, class Struct, class... Before>
decltype(auto) call_flat(const Operator& called, const Struct& last, const Before&... before) {
  return std::apply([&](const auto&... arguments) { return called.call(before..., arguments...); }, last.arguments());
}

bool has_kernel_for(const char* name, c10::DispatchKey key) {
  const auto found = c10::Dispatcher::singleton().findSchema({name, ""});
  return found.has_value() && found->hasKernelForDispatchKey(key);
}

bool has_kernel(const char* name, at::DeviceType device) {
  return has_kernel_for(name, device == at::kCUDA ? c10::DispatchKey::CUDA : c10::DispatchKey::CPU);
}

bool has_autograd(const char* name, at::DeviceType device) {
  return has_kernel_for(name, c10::DispatchKey::Autograd) ||
         has_kernel_for(name, device == at::kCUDA ? c10::DispatchKey::AutogradCUDA : c10::DispatchKey::AutogradCPU);
}

}  // namespace

namespace dispatched {

void rotate_keys_(const rotation_tensors& rotation, at::TensorList keys) {
  static const auto called = find_flat<&rotate_keys_>("kvtransfer::rotate_keys_");
  call_flat(called, rotation, keys);
}

std::vector<at::Tensor> rotate_keys(const rotation_tensors& rotation, at::TensorList keys) {
  static const auto called = find_flat<&rotate_keys>("kvtransfer::rotate_keys");
  return call_flat(called, rotation, keys);
}

void rotate_blocks_(const rotation_tensors& rotation, at::TensorList keys, const at::Tensor& blocks) {
  static const auto called = find_flat<&rotate_blocks_>("kvtransfer::rotate_blocks_");
  call_flat(called, rotation, keys, blocks);
}

void rotate_quantized_keys_(const rotation_tensors& rotation, const quantized_layers& keys) {
  static const auto called =
      find("kvtransfer::rotate_quantized_keys_", quantized_operator_function<&rotate_quantized_keys_>);
  std::apply([&](const auto&... layers) { call_flat(called, rotation, layers...); }, keys.arguments());
}

void convert_pairing_(at::TensorList keys, std::int64_t window_offset, std::int64_t rotary_dim, bool to_interleaved) {
  static const auto called = find("kvtransfer::convert_pairing_", &convert_pairing_);
  called.call(keys, window_offset, rotary_dim, to_interleaved);
}

void copy_slots_(at::TensorList to, at::TensorList from, const std::optional<at::Tensor>& runs) {
  static const auto called = find("kvtransfer::copy_slots_", &copy_slots_);
  called.call(to, from, runs);
}

}  // namespace dispatched
}  // namespace kvtransfer::kernels

/// What headers look for by this name.
extern "C" [[gnu::visibility("default")]] const kvtransfer::detail::kernel_table* kvtransfer_kernel_table() {
  using namespace kvtransfer::kernels;
  static constexpr kvtransfer::detail::kernel_table table = {
      .version = kvtransfer::detail::kernel_table::current_version,
      .has_kernel = &has_kernel,
      .has_autograd = &has_autograd,
      .rotate_keys_ = &dispatched::rotate_keys_,
      .rotate_keys = &dispatched::rotate_keys,
      .rotate_blocks_ = &dispatched::rotate_blocks_,
      .rotate_quantized_keys_ = &dispatched::rotate_quantized_keys_,
      .convert_pairing_ = &dispatched::convert_pairing_,
      .copy_slots_ = &dispatched::copy_slots_,
  };
  return &table;
}
