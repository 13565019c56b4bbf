#include "kernels/rope/operators.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/util/SmallVector.h>
#include <fmt/format.h>
#include <torch/library.h>

#include <string>

#include "kernels/rope/key_checks.hpp"
#include "kvtransfer/core/error.hpp"

// The operators of libkvtransfer_kernels.so, as torch's dispatcher and `torch.ops.kvtransfer` in Python know them.
//
//   rotate_keys_(keys, from_positions, to_positions, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset,
//                interleaved, model_faithful)
//   rotate_keys(... the same ...) -> copies, differentiable: the gradient is rotated back, times the gain
//   rotate_blocks_(keys, blocks, ... the same ...): some blocks of every layer, as the blocks of a paged cache
//   convert_pairing_(keys, window_offset, rotary_dim, to_interleaved)
//
// keys            the layers of a cache, each [batch, kv_heads, seq, head_dim] with any strides but a contiguous
//                 head_dim; all of the same extents, dtype and device. All layers are one pass on the CPU and one
//                 kernel on CUDA (one per 128 layers, and one per set of strides). float, bfloat16, half,
//                 float8_e4m3fn, float8_e5m2; double is left to ATen. An fp8 cache's scale cancels where it is kept; to
//                 change it from a to b, give gain * a / b. fp8 saturates.
// *_positions     int64 tokens on the keys' device, broadcast to [streams, batch, kv_heads, seq], |position| <= 2^24,
//                 which is checked on a CPU alone: on a GPU that would wait for it. Where keys were rotated to, and
//                 where they shall be. Without `from_positions` they carry no rotation, without `to_positions` they
//                 are left with none.
// blocks          int64 [n] on the keys' device: which of their first axis are meant, none twice; positions are those
// of
//                 n blocks. That they exist is checked on a CPU alone: on a GPU that would wait for it.
// delta           used where both are absent: every key moves by so many tokens under to_inv_freq.
// *_inv_freq      float on the CPU, [rotary_dim / 2 <= 256], radians per token; each needed where its positions are
//                 given.
// stream_of       unsigned char on the CPU, [rotary_dim / 2]: the stream of positions that each pair reads; absent:
//                 stream 0.
// gain            multiplies what is rotated: new attention scaling / old.
// window_offset   elements [window_offset, window_offset + rotary_dim) of each head rotate, in pairs (2i, 2i + 1) if
// interleaved     `interleaved`, otherwise (i, i + rotary_dim / 2).
// model_faithful  false: the angle is q * f_to - p * f_from to 2e-7 radians; true: fl32(q * f_to) - fl32(p * f_from),
//                 which is what a model in fp32 would have written.
//
// What does not fit throws kvtransfer::error, a RuntimeError in Python.

namespace kvtransfer::rope::kernels {
namespace {

char* at_byte(void* base, std::int64_t elements, std::int64_t element_size) {
  return static_cast<char*>(base) + elements * element_size;
}

/// Rotates `sources` into `destinations`; neighbouring layers of equal strides go together.
void launch_by_strides(at::TensorList sources, at::TensorList destinations, rotation_arguments arguments,
                       std::int64_t window_offset, rotation_launch launch) {
  const auto element_size = static_cast<std::int64_t>(sources.front().element_size());
  c10::SmallVector<layer_keys, 128> layers;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const key_strides from = strides_of(sources[i]);
    const key_strides to = strides_of(destinations[i]);
    if (!layers.empty() && !(from == arguments.source && to == arguments.destination)) {
      launch(arguments, layers.data(), static_cast<std::int64_t>(layers.size()));
      layers.clear();
    }
    arguments.source = from;
    arguments.destination = to;
    layers.push_back({at_byte(const_cast<void*>(sources[i].const_data_ptr()), window_offset, element_size),
                      at_byte(destinations[i].mutable_data_ptr(), window_offset, element_size)});
  }
  launch(arguments, layers.data(), static_cast<std::int64_t>(layers.size()));
}

at::Tensor with_contiguous_head_dim(const at::Tensor& key) { return key.stride(3) == 1 ? key : key.contiguous(); }

/// An empty copy of `key`: its strides where its head_dim is contiguous, else contiguous. Strides are compared as
/// symbols, since torch.compile, which relies on them, asks for a place without data.
at::Tensor place_for(const at::Tensor& key) {
  if (key.sym_stride(3) == 1) {
    at::Tensor place = at::empty_like(key);
    if (place.sym_stride(3) == 1) {
      return place;
    }
  }
  return at::empty_like(key, at::TensorOptions(), at::MemoryFormat::Contiguous);
}

std::vector<at::Tensor> places_for(const rotation_tensors&, at::TensorList keys) {
  std::vector<at::Tensor> places;
  for (const at::Tensor& key : keys) {
    places.push_back(place_for(key));
  }
  return places;
}

void copy_outside_window(const at::Tensor& from, const at::Tensor& to, std::int64_t begin, std::int64_t end) {
  const std::int64_t head_dim = from.size(3);
  if (begin > 0) {
    to.narrow(3, 0, begin).copy_(from.narrow(3, 0, begin));
  }
  if (end < head_dim) {
    to.narrow(3, end, head_dim - end).copy_(from.narrow(3, end, head_dim - end));
  }
}

}  // namespace

void rotate_in_place(const rotation_tensors& rotation, at::TensorList keys, const at::Tensor& blocks,
                     rotation_launch launch) {
  check_alike(keys, "rotate_keys_");
  check_element_type(keys.front(), "rotate_keys_");
  if (keys.front().numel() == 0 || (blocks.defined() && blocks.numel() == 0)) {
    return;
  }
  check_writable(keys, "rotate_keys_");
  launch_by_strides(keys, keys, lower(keys.front(), rotation, blocks), rotation.window_offset, launch);
}

std::vector<at::Tensor> rotate_out_of_place(const rotation_tensors& rotation, at::TensorList keys,
                                            rotation_launch launch) {
  check_alike(keys, "rotate_keys");
  check_element_type(keys.front(), "rotate_keys");
  std::vector<at::Tensor> rotated = places_for(rotation, keys);
  std::vector<at::Tensor> sources;
  for (const at::Tensor& key : keys) {
    sources.push_back(with_contiguous_head_dim(key));
  }
  if (keys.front().numel() == 0) {
    return rotated;
  }
  const rotation_arguments arguments = lower(sources.front(), rotation);
  launch_by_strides(sources, rotated, arguments, rotation.window_offset, launch);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    copy_outside_window(sources[i], rotated[i], rotation.window_offset, rotation.window_offset + 2 * arguments.pairs);
  }
  return rotated;
}

void convert_in_place(at::TensorList keys, std::int64_t window_offset, std::int64_t rotary_dim, bool to_interleaved,
                      pairing_conversion_launch launch) {
  check_alike(keys, "convert_pairing_");
  const at::Tensor& first = keys.front();
  require<shape_error>(
      window_offset >= 0 && rotary_dim >= 2 && rotary_dim % 2 == 0 && rotary_dim <= 2 * max_pairs &&
          window_offset <= first.size(3) - rotary_dim,
      "convert_pairing_", "rotary window",
      formatted("an even number of elements, at most {}, within head_dim={}", 2 * max_pairs, first.size(3)),
      formatted("{} from {} on", rotary_dim, window_offset));
  if (first.numel() == 0) {
    return;
  }
  check_writable(keys, "convert_pairing_");
  pairing_conversion conversion{first.size(0),
                                first.size(1),
                                first.size(2),
                                {},
                                static_cast<std::int32_t>(rotary_dim / 2),
                                static_cast<std::int32_t>(first.element_size()),
                                to_interleaved};
  for (const at::Tensor& key : keys) {
    conversion.strides = strides_of(key);
    void* const layer = at_byte(key.mutable_data_ptr(), window_offset, conversion.element_size);
    launch(conversion, &layer, 1);
  }
}

}  // namespace kvtransfer::rope::kernels

namespace {

/// Without data there is nothing to do in place.
void do_nothing(const c10::OperatorHandle& called, torch::jit::Stack* stack) {
  torch::jit::drop(*stack, called.schema().arguments().size());
}

}  // namespace

TORCH_LIBRARY(kvtransfer, library) {
  const std::string rotation =
      "Tensor? from_positions, Tensor? to_positions, int delta, Tensor? from_inv_freq, Tensor? to_inv_freq, "
      "Tensor? stream_of, float gain, int window_offset, bool interleaved, bool model_faithful";
  const auto define = [&](const std::string& schema) { library.def(schema.c_str()); };
  define("rotate_keys_(Tensor(a!)[] keys, " + rotation + ") -> ()");
  define("rotate_keys(Tensor[] keys, " + rotation + ") -> Tensor[]");
  define("rotate_blocks_(Tensor(a!)[] keys, Tensor blocks, " + rotation + ") -> ()");
  define(
      "rotate_quantized_keys_(Tensor(a!)[] codes, Tensor(b!)[] scales, Tensor(c!)[] minimums, Tensor(d!)[] errors, "
      "Tensor? group_ends, Tensor? valid, int bits, " +
      rotation + ") -> ()");
  define("convert_pairing_(Tensor(a!)[] keys, int window_offset, int rotary_dim, bool to_interleaved) -> ()");
  define("copy_slots_(Tensor(a!)[] to_layers, Tensor[] from_layers, Tensor? runs) -> ()");
}

TORCH_LIBRARY_IMPL(kvtransfer, CPU, library) {
  using namespace kvtransfer::rope::kernels;
  library.impl("rotate_keys_", TORCH_FN(operator_function<&rotate_keys_<rotate_on_cpu>>));
  library.impl("rotate_keys", TORCH_FN(operator_function<&rotate_keys<rotate_on_cpu>>));
  library.impl("rotate_blocks_", TORCH_FN(operator_function<&rotate_blocks_<rotate_on_cpu>>));
  library.impl("convert_pairing_", TORCH_FN(convert_pairing_<convert_pairing_on_cpu>));
}

// Shapes and strides without data, for torch.compile and its checks.
TORCH_LIBRARY_IMPL(kvtransfer, Meta, library) {
  library.impl("rotate_keys",
               TORCH_FN(kvtransfer::rope::kernels::operator_function<&kvtransfer::rope::kernels::places_for>));
  for (const char* in_place :
       {"rotate_keys_", "rotate_blocks_", "rotate_quantized_keys_", "convert_pairing_", "copy_slots_"}) {
    library.impl(in_place, torch::CppFunction::makeFromBoxedFunction<&do_nothing>());
  }
}
