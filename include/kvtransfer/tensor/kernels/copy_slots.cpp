#include "kvtransfer/tensor/kernels/copy_slots.hpp"

#include <c10/util/SmallVector.h>
#include <fmt/format.h>
#include <torch/library.h>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

// The operator that copies slots from one arrangement to another, as torch's dispatcher and `torch.ops.kvtransfer` in Python know it.
//
//   copy_slots_(to, from, runs)
//
// to, from  the layers of two caches, each [rows, kv_heads, slots, head_dim] with any strides but a contiguous head_dim; one dtype and
//           device, any dtype. Rows are batch rows, or a paged cache's blocks, or one row for a ragged cache. All layers are one pass.
// runs      int64 [n, 3] on the same device: place in `to`, place in `from`, count, where a place is `row * slots + slot`. So many
//           slots from there on are copied, within a row; a place of -1 in `from` writes zeros. No place is written twice. Runs of
//           sixteen slots or so share out the work best. Absent: every slot is copied to its like.
//
// Places are not checked against the storage: on a GPU that would wait for it. The headers check them on the host.

namespace kvtransfer::kernels {
namespace {

/// @throws shape_error, device_error unless slots of `from` can be written into `to`
void check_layer(const at::Tensor& to, const at::Tensor& from, bool like_to_like) {
  for (const at::Tensor& tensor : {to, from}) {
    if (tensor.dim() != 4 || (tensor.stride(3) != 1 && tensor.size(3) != 1)) {
      fail<shape_error>("copy_slots_", "layers", "[rows, kv_heads, slots, head_dim], contiguous head_dim", describe(tensor));
    }
  }
  const bool slots_fit = !like_to_like || (to.size(0) == from.size(0) && to.size(2) == from.size(2));
  if (to.size(1) != from.size(1) || to.size(3) != from.size(3) || to.scalar_type() != from.scalar_type() || !slots_fit) {
    fail<shape_error>("copy_slots_", "to", "what goes with " + describe(from), describe(to));
  }
  require_same_device(from, to, "copy_slots_", "to");
}

const std::int64_t* list_of(const optional_tensor& runs, const at::Tensor& layer) {
  if (!runs.has_value()) {
    return nullptr;
  }
  if (runs->scalar_type() != at::kLong || runs->dim() != 2 || runs->size(1) != 3 || !runs->is_contiguous() ||
      runs->device() != layer.device()) {
    fail<shape_error>("copy_slots_", "runs", "contiguous int64 [n, 3] on " + layer.device().str(), describe(*runs));
  }
  return runs->const_data_ptr<std::int64_t>();
}

slot_strides strides_of(const at::Tensor& layer) {
  const auto size = static_cast<std::int64_t>(layer.element_size());
  return {layer.stride(0) * size, layer.stride(1) * size, layer.stride(2) * size, layer.size(2)};
}

/// The plain struct for layers like these two.
slot_copy lower(const at::Tensor& to, const at::Tensor& from, const optional_tensor& runs) {
  slot_copy copy;
  copy.kv_heads = to.size(1);
  copy.head_bytes = to.size(3) * static_cast<std::int64_t>(to.element_size());
  copy.to = strides_of(to);
  copy.from = strides_of(from);
  copy.list = list_of(runs, to);
  copy.runs = runs.has_value() ? runs->size(0) : to.size(0) * ((to.size(2) + slots_per_run - 1) / slots_per_run);
  if (copy.to.head == copy.head_bytes && copy.from.head == copy.head_bytes) {  // heads side by side: one wide head
    copy.head_bytes *= copy.kv_heads;
    copy.kv_heads = 1;
  }
  return copy;
}

bool go_together(const slot_copy& a, const slot_copy& b) {
  return a.to == b.to && a.from == b.from && a.runs == b.runs && a.kv_heads == b.kv_heads && a.head_bytes == b.head_bytes;
}

}  // namespace

void copy_slots_by(at::TensorList to, at::TensorList from, const optional_tensor& runs, slot_copy_launch launch) {
  if (to.size() != from.size()) {
    fail<shape_error>("copy_slots_", "to", fmt::format("{} layers", from.size()), fmt::format("{}", to.size()));
  }
  c10::SmallVector<layer_bytes, 128> layers;
  slot_copy copy;
  for (std::size_t i = 0; i < to.size(); ++i) {
    check_layer(to[i], from[i], !runs.has_value());
    const slot_copy next = lower(to[i], from[i], runs);
    if (!layers.empty() && !go_together(copy, next)) {
      launch(copy, layers.data(), static_cast<std::int64_t>(layers.size()));
      layers.clear();
    }
    copy = next;
    if (copy.runs * copy.kv_heads * copy.head_bytes > 0) {
      layers.push_back({static_cast<char*>(to[i].mutable_data_ptr()), static_cast<const char*>(from[i].const_data_ptr())});
    }
  }
  if (!layers.empty()) {
    launch(copy, layers.data(), static_cast<std::int64_t>(layers.size()));
  }
}

}  // namespace kvtransfer::kernels

namespace {

void copy_slots_meta(at::TensorList, at::TensorList, const kvtransfer::kernels::optional_tensor&) {}

}  // namespace

TORCH_LIBRARY_FRAGMENT(kvtransfer, library) {
  library.def("copy_slots_(Tensor(a!)[] to_layers, Tensor[] from_layers, Tensor? runs) -> ()");
}

TORCH_LIBRARY_IMPL(kvtransfer, CPU, library) {
  library.impl("copy_slots_", TORCH_FN(kvtransfer::kernels::copy_slots_<kvtransfer::kernels::copy_slots_on_cpu>));
}

TORCH_LIBRARY_IMPL(kvtransfer, Meta, library) { library.impl("copy_slots_", TORCH_FN(copy_slots_meta)); }
