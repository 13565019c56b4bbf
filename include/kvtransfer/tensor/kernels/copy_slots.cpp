#include "kvtransfer/tensor/kernels/copy_slots.hpp"

#include <c10/util/SmallVector.h>
#include <fmt/format.h>
#include <torch/library.h>

#include <string_view>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

// The operator that moves slots between arrangements, as torch's dispatcher and `torch.ops.kvtransfer` in Python know it.
//
//   copy_slots_(to, from, to_places, from_places)
//
// to, from     the layers of two caches, each [rows, kv_heads, slots, head_dim] with any strides but a contiguous head_dim; one
//              dtype and device, any dtype. Rows are batch rows, or a paged cache's blocks, or one row for a ragged cache. All layers
//              are one pass.
// *_places     int64 [n] on the same device, `row * slots + slot`: slot from_places[i] is copied to to_places[i]. -1 in
//              from_places writes zeros. Each place at most once in to_places. Without both, every slot is copied to its like.
//
// Places are not checked against the storage: on a GPU that would wait for it. The headers check them on the host.

namespace kvtransfer::kernels {
namespace {

/// @throws shape_error, device_error unless slots of `from` can be written into `to`
void check_layer(const at::Tensor& to, const at::Tensor& from) {
  for (const at::Tensor& tensor : {to, from}) {
    if (tensor.dim() != 4 || (tensor.stride(3) != 1 && tensor.size(3) != 1)) {
      fail<shape_error>("copy_slots_", "layers", "[rows, kv_heads, slots, head_dim], contiguous head_dim", describe(tensor));
    }
  }
  if (to.size(1) != from.size(1) || to.size(3) != from.size(3) || to.scalar_type() != from.scalar_type()) {
    fail<shape_error>("copy_slots_", "to", "kv_heads, head_dim and dtype of " + describe(from), describe(to));
  }
  require_same_device(from, to, "copy_slots_", "to");
}

const std::int64_t* places(const optional_tensor& list, const at::Tensor& layer, std::string_view name) {
  if (!list.has_value()) {
    return nullptr;
  }
  if (list->scalar_type() != at::kLong || list->dim() != 1 || !list->is_contiguous() || list->device() != layer.device()) {
    fail<shape_error>("copy_slots_", name, "contiguous int64 [n] on " + layer.device().str(), describe(*list));
  }
  return list->const_data_ptr<std::int64_t>();
}

slot_strides strides_of(const at::Tensor& layer) {
  const auto size = static_cast<std::int64_t>(layer.element_size());
  return {layer.stride(0) * size, layer.stride(1) * size, layer.stride(2) * size, layer.size(2)};
}

/// The plain struct for layers like these two.
slot_copy lower(const at::Tensor& to, const at::Tensor& from, const optional_tensor& to_places,
                const optional_tensor& from_places) {
  slot_copy copy;
  copy.pairs = to_places.has_value() ? to_places->numel() : to.size(0) * to.size(2);
  copy.kv_heads = to.size(1);
  copy.head_bytes = to.size(3) * static_cast<std::int64_t>(to.element_size());
  copy.to = strides_of(to);
  copy.from = strides_of(from);
  copy.to_places = places(to_places, to, "to_places");
  copy.from_places = places(from_places, from, "from_places");
  if (copy.to.head == copy.head_bytes && copy.from.head == copy.head_bytes) {  // heads side by side: one wide head
    copy.head_bytes *= copy.kv_heads;
    copy.kv_heads = 1;
  }
  return copy;
}

}  // namespace

void copy_slots_by(at::TensorList to, at::TensorList from, const optional_tensor& to_places,
                   const optional_tensor& from_places, slot_copy_launch launch) {
  if (to.size() != from.size() || to_places.has_value() != from_places.has_value() ||
      (to_places.has_value() && to_places->numel() != from_places->numel())) {
    fail<shape_error>("copy_slots_", "from", "as many layers and places as in to", "others");
  }
  c10::SmallVector<layer_bytes, 128> layers;
  slot_copy copy;
  for (std::size_t i = 0; i < to.size(); ++i) {
    check_layer(to[i], from[i]);
    if (!to_places.has_value() && (to[i].size(0) != from[i].size(0) || to[i].size(2) != from[i].size(2))) {
      fail<shape_error>("copy_slots_", "to", describe(from[i]), describe(to[i]));
    }
    const slot_copy next = lower(to[i], from[i], to_places, from_places);
    const bool alike = copy.to == next.to && copy.from == next.from && copy.pairs == next.pairs &&
                       copy.kv_heads == next.kv_heads && copy.head_bytes == next.head_bytes;
    if (!layers.empty() && !alike) {
      launch(copy, layers.data(), static_cast<std::int64_t>(layers.size()));
      layers.clear();
    }
    copy = next;
    if (copy.pairs * copy.kv_heads * copy.head_bytes > 0) {
      layers.push_back({static_cast<char*>(to[i].mutable_data_ptr()), static_cast<const char*>(from[i].const_data_ptr())});
    }
  }
  if (!layers.empty()) {
    launch(copy, layers.data(), static_cast<std::int64_t>(layers.size()));
  }
}

}  // namespace kvtransfer::kernels

namespace {

using kvtransfer::kernels::optional_tensor;

void copy_slots_meta(at::TensorList, at::TensorList, const optional_tensor&, const optional_tensor&) {}

}  // namespace

TORCH_LIBRARY_FRAGMENT(kvtransfer, library) {
  library.def("copy_slots_(Tensor(a!)[] to_layers, Tensor[] from_layers, Tensor? to_places, Tensor? from_places) -> ()");
}

TORCH_LIBRARY_IMPL(kvtransfer, CPU, library) {
  library.impl("copy_slots_", TORCH_FN(kvtransfer::kernels::copy_slots_<kvtransfer::kernels::copy_slots_on_cpu>));
}

TORCH_LIBRARY_IMPL(kvtransfer, Meta, library) { library.impl("copy_slots_", TORCH_FN(copy_slots_meta)); }
