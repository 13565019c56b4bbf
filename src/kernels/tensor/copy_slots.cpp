#include "kernels/tensor/copy_slots.hpp"

#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/util/SmallVector.h>
#include <fmt/format.h>
#include <torch/library.h>

#include "kernels/dispatched.hpp"
#include "kernels/in_place.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

// The operator that copies slots from one arrangement to another, as torch's dispatcher and `torch.ops.kvtransfer` in
// Python know it.
//
//   copy_slots_(to_layers, from_layers, runs)
//
// to, from  the layers of two caches, each [rows, kv_heads, slots, head_dim] with any strides, on one device; to and
//           from of one dtype, which may be any (of 8 bytes at most where head_dim is not contiguous). Rows are batch
//           rows, or a paged cache's blocks, or one row for a ragged cache. All layers are one pass.
// runs      int64 [n, 3] on the same device: place in `to`, place in `from`, count, where a place is
//           `row * slots + slot`. So many slots from there on are copied, within a row; a place of -1 in `from` writes
//           zeros. No place is written twice. Runs of sixteen slots or so share out the work best. Absent: every slot
//           is copied to its like.
//
// Places are checked against the storage on a CPU alone: on a GPU that would wait for it. The headers check them on the
// host.

namespace kvtransfer::kernels {
namespace {

/// @throws shape_error, device_error unless slots of `from` can be written into `to`
void check_layer(const at::Tensor& to, const at::Tensor& from, bool like_to_like) {
  for (const at::Tensor& tensor : {to, from}) {
    require<shape_error>(tensor.dim() == 4, "copy_slots_", "layers", "[rows, kv_heads, slots, head_dim]",
                         [&] { return describe(tensor); });
  }
  const bool slots_fit = !like_to_like || (to.size(0) == from.size(0) && to.size(2) == from.size(2));
  if (to.size(1) != from.size(1) || to.size(3) != from.size(3) || to.scalar_type() != from.scalar_type() ||
      !slots_fit) {
    fail<shape_error>("copy_slots_", "to", "what goes with " + describe(from), describe(to));
  }
  require_same_device(from, to, "copy_slots_", "to");
}

/// Whether `count` slots from `place` on lie within one row of `layer`.
bool lie_in_row(const at::Tensor& layer, std::int64_t place, std::int64_t count) {
  const std::int64_t slots = layer.size(2);
  return place >= 0 && slots > 0 && place / slots < layer.size(0) && place % slots + count <= slots;
}

/// @throws shape_error on a CPU for slots that do not exist; on a GPU to look would be to wait
void check_places(const at::Tensor& runs, const at::Tensor& to, const at::Tensor& from) {
  const std::int64_t* run = runs.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < runs.size(0); ++i, run += 3) {
    const bool exists =
        run[2] >= 0 && lie_in_row(to, run[0], run[2]) && (run[1] < 0 || lie_in_row(from, run[1], run[2]));
    require<shape_error>(exists, "copy_slots_", "runs", "places and counts within the rows of both",
                         formatted("[{}, {}, {}]", run[0], run[1], run[2]));
  }
}

const std::int64_t* list_of(const optional_tensor& runs, const at::Tensor& to, const at::Tensor& from) {
  if (!runs.has_value()) {
    return nullptr;
  }
  if (runs->scalar_type() != at::kLong || runs->dim() != 2 || runs->size(1) != 3 || !runs->is_contiguous() ||
      runs->device() != to.device()) {
    fail<shape_error>("copy_slots_", "runs", "contiguous int64 [n, 3] on " + to.device().str(), describe(*runs));
  }
  if (to.is_cpu()) {
    check_places(*runs, to, from);
  }
  return runs->const_data_ptr<std::int64_t>();
}

slot_strides strides_of(const at::Tensor& layer) {
  const auto size = static_cast<std::int64_t>(layer.element_size());
  const std::int64_t element = layer.size(3) == 1 ? 1 : layer.stride(3);
  return {layer.stride(0) * size, layer.stride(1) * size, layer.stride(2) * size, element * size, layer.size(2)};
}

/// The plain struct for layers like these two.
slot_copy lower(const at::Tensor& to, const at::Tensor& from, const optional_tensor& runs) {
  slot_copy copy;
  copy.kv_heads = to.size(1);
  copy.elements = to.size(3);
  copy.element_bytes = static_cast<std::int64_t>(to.element_size());
  copy.to = strides_of(to);
  copy.from = strides_of(from);
  copy.list = list_of(runs, to, from);
  require<shape_error>(!copy.is_transposed() || copy.element_bytes <= widest_transposed, "copy_slots_", "layers",
                       formatted("a contiguous head_dim, or elements of {} bytes", widest_transposed),
                       [&] { return describe(from); });
  copy.longest_run = copy.is_transposed() && !runs.has_value() ? slots_per_transposed_run : slots_per_run;
  copy.runs = runs.has_value() ? runs->size(0) : to.size(0) * ((to.size(2) + copy.longest_run - 1) / copy.longest_run);
  if (!copy.is_transposed() && copy.to.head == copy.head_bytes() && copy.from.head == copy.head_bytes()) {
    copy.elements *= copy.kv_heads;  // heads side by side: one wide head
    copy.kv_heads = 1;
  }
  return copy;
}

bool go_together(const slot_copy& a, const slot_copy& b) {
  return a.to == b.to && a.from == b.from && a.runs == b.runs && a.kv_heads == b.kv_heads && a.elements == b.elements &&
         a.element_bytes == b.element_bytes;
}

}  // namespace

void copy_slots_by(at::TensorList to, at::TensorList from, const optional_tensor& runs, slot_copy_launch launch) {
  require<shape_error>(to.size() == from.size(), "copy_slots_", "to", formatted("{} layers", from.size()),
                       formatted("{}", to.size()));
  c10::SmallVector<layer_bytes, 128> layers;
  slot_copy copy;
  const auto launch_layers = [&] {
    if (!layers.empty()) {
      launch(copy, layers.data(), static_cast<std::int64_t>(layers.size()));
    }
    layers.clear();
  };
  for (std::size_t i = 0; i < to.size(); ++i) {
    check_layer(to[i], from[i], !runs.has_value());
    require_same_device(to[0], to[i], "copy_slots_", "layers");
    const slot_copy next = lower(to[i], from[i], runs);
    if (!go_together(copy, next)) {
      launch_layers();
    }
    copy = next;
    if (copy.runs * copy.kv_heads * copy.elements > 0) {
      layers.push_back(
          {static_cast<char*>(to[i].mutable_data_ptr()), static_cast<const char*>(from[i].const_data_ptr())});
    }
  }
  launch_layers();
}

}  // namespace kvtransfer::kernels

namespace {

void copy_slots_autograd(at::TensorList to, at::TensorList from, const kvtransfer::kernels::optional_tensor& runs) {
  kvtransfer::kernels::refuse_gradients({to, from}, "copy_slots_", "layers");
  kvtransfer::kernels::mark_changed({to});
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  kvtransfer::kernels::dispatched::copy_slots_(to, from, runs);
}

}  // namespace

TORCH_LIBRARY_IMPL(kvtransfer, CPU, library) {
  library.impl("copy_slots_", TORCH_FN(kvtransfer::kernels::copy_slots_<kvtransfer::kernels::copy_slots_on_cpu>));
}

TORCH_LIBRARY_IMPL(kvtransfer, Autograd, library) { library.impl("copy_slots_", TORCH_FN(copy_slots_autograd)); }
