#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <tuple>
#include <type_traits>
#include <vector>

#include "kvtransfer/tensor/kernel_table.hpp"

// Torch's dispatcher reads an operator's schema off a C++ function's arguments, one for each; ours take structs. Here
// the one becomes the other, from the list that a struct's `arguments()` gives: `operator_function` unpacks,
// `call_flat` packs.

namespace kvtransfer::kernels {

using kvtransfer::detail::quantized_layers;
using kvtransfer::detail::rotation_tensors;
using optional_tensor = std::optional<at::Tensor>;

/// How the dispatcher passes a `T`.
template <class T>
using passed = std::conditional_t<std::is_same_v<T, optional_tensor> || std::is_same_v<T, at::Tensor>, const T&, T>;

template <class Struct>
using arguments_of = decltype(std::declval<const Struct&>().arguments());

/// What a function takes first, without const and reference.
template <class Signature>
struct first_argument;

template <class Result, class First, class... Rest>
struct first_argument<Result (*)(const First&, Rest...)> {
  using type = First;
};

/// `Function(packed, others...)` as `(others..., the arguments of packed...)`.
template <auto Function, class Signature = decltype(Function),
          class Arguments = arguments_of<typename first_argument<Signature>::type>>
struct flattened;

template <auto Function, class Result, class Packed, class... Others, class... Arguments>
struct flattened<Function, Result (*)(const Packed&, Others...), std::tuple<const Arguments&...>> {
  static Result call(Others... others, passed<Arguments>... arguments) {
    return Function(Packed{arguments...}, others...);
  }
};

template <auto Function>
inline constexpr auto operator_function = &flattened<Function>::call;

/// `Function(rotation, layers)` as `(rotation, the layers' arguments...)`.
template <auto Function, class Layers = arguments_of<quantized_layers>>
struct unpacking_layers;

template <auto Function, class... Layers>
struct unpacking_layers<Function, std::tuple<const Layers&...>> {
  static void call(const rotation_tensors& rotation, passed<Layers>... layers) {
    Function(rotation, quantized_layers{layers...});
  }
};

template <auto Function>
inline constexpr auto quantized_operator_function = operator_function<&unpacking_layers<Function>::call>;

}  // namespace kvtransfer::kernels
