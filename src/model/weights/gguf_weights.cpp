#include "kvtransfer/model/weights/gguf_weights.hpp"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "gguf_architecture.hpp"
#include "gguf_dequantize.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/model/weights/gguf_config.hpp"
#include "kvtransfer/tensor/checks.hpp"

namespace kvtransfer {

namespace {

constexpr std::int64_t held_elements = 1 << 18;  ///< 1 MiB of floats beside the weight that is loaded
constexpr std::int64_t elements_a_thread = 1 << 15;

/// A tensor as rows: all its dimensions but the last are one.
struct stored_rows {
  gguf_tensor_type type{};
  std::span<const std::byte> blocks;
  std::int64_t width = 0;
  std::size_t row_bytes = 0;

  /// Brings `rows` rows from `begin` on back into a contiguous float tensor on the CPU.
  void read(std::int64_t begin, std::int64_t rows, float* out) const {
    at::parallel_for(
        0, rows, std::max<std::int64_t>(1, elements_a_thread / width), [&](std::int64_t from, std::int64_t to) {
          const auto part = blocks.subspan(static_cast<std::size_t>(begin + from) * row_bytes,
                                           static_cast<std::size_t>(to - from) * row_bytes);
          detail::dequantize(type, part, {out + from * width, static_cast<std::size_t>((to - from) * width)});
        });
  }
};

/// Copies rows of whole heads, in interleaved pairs (0, half, 1, half + 1, …), into half-split order.
/// @param width elements of a row
void copy_half_split(const at::Tensor& to, const at::Tensor& from, std::int64_t head_dim, std::int64_t width) {
  const at::Tensor pairs = from.view({-1, head_dim / 2, 2, width});
  to.view({-1, 2, head_dim / 2, width}).copy_(pairs.transpose(1, 2));
}

/// @throws value_error unless weights can be brought back as that
void require_loadable_as(at::ScalarType dtype) {
  require<value_error>(dtype == at::kFloat || dtype == at::kHalf || dtype == at::kBFloat16, "gguf_weights::load",
                       "dtype", "float32, float16 or bfloat16", c10::toString(dtype));
}

}  // namespace

gguf_weights::gguf_weights(gguf_file file) : file_(std::move(file)) {
  const nlohmann::json config = gguf_config(file_);
  const detail::gguf_architecture& architecture = detail::find_gguf_architecture(file_.metadata());
  const auto layers = config["num_hidden_layers"].get<std::int64_t>();
  for (const auto& [name, tensor] : file_.header().tensors) {
    if (detail::is_rope_factors(architecture, name)) {
      continue;
    }
    auto weight = detail::transformers_name(architecture, name, layers);
    if (!weight) {
      fail<file_error>(file_.path().string(), "tensors",
                       fmt::format("those of a {} model of {} layers", architecture.name, layers), excerpt(name));
    }
    source from{name, 0, architecture.is_gemma && name.ends_with("norm.weight")};
    const bool queries = name.find(".attn_q.") != name.npos;
    if (architecture.permutes_heads && (queries || name.find(".attn_k.") != name.npos)) {
      from.permuted_heads = config[queries ? "num_attention_heads" : "num_key_value_heads"].get<std::int64_t>();
      if (tensor.shape.size() > 2 ||
          tensor.shape.front() != from.permuted_heads * config["head_dim"].get<std::int64_t>()) {
        fail<file_error>(file_.path().string(), fmt::format("tensor {}: shape", excerpt(name)),
                         fmt::format("a matrix of {} heads of {} rows, or as many elements", from.permuted_heads,
                                     config["head_dim"].dump()),
                         excerpt(tensor.shape));
      }
    }
    sources_.emplace(std::move(*weight), std::move(from));
  }
}

std::vector<std::string> gguf_weights::names() const {
  std::vector<std::string> names;
  for (const auto& [name, from] : sources_) {
    names.push_back(name);
  }
  return names;
}

std::string gguf_weights::quantization() const {
  std::map<gguf_tensor_type, std::int64_t> count;
  for (const auto& [name, from] : sources_) {
    count[file_.tensor(from.tensor).type] += is_layer_matrix(name) ? 1 : 0;
  }
  const auto most =
      std::max_element(count.begin(), count.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == count.end() || most->first == gguf_tensor_type::f32 || most->first == gguf_tensor_type::f16 ||
      most->first == gguf_tensor_type::bf16) {
    return "none";
  }
  return std::string(describe(most->first).name);
}

const gguf_weights::source& gguf_weights::source_of(std::string_view name) const {
  const auto found = sources_.find(name);
  if (found == sources_.end()) {
    fail<file_error>(file_.path().string(), "tensor", excerpt(name), "no such tensor");
  }
  return found->second;
}

at::Tensor gguf_weights::load(std::string_view name, at::ScalarType dtype, at::Device device) const {
  require_loadable_as(dtype);
  at::Tensor weight = at::empty(shape(name), at::TensorOptions().dtype(dtype).device(device));
  load_into(name, weight);
  return weight;
}

void gguf_weights::load_into(std::string_view name, const at::Tensor& weight) const {
  require_loadable_as(weight.scalar_type());
  const source& from = source_of(name);
  const gguf_tensor& tensor = file_.tensor(from.tensor);
  require<shape_error>(
      weight.sizes() == tensor.shape && weight.is_contiguous(), "gguf_weights::load_into", "weight",
      [&] { return fmt::format("contiguous, {}", excerpt(tensor.shape)); }, [&] { return describe(weight); });
  require_readable(tensor, from.tensor, file_.path().string());
  const gguf_block_format& format = describe(tensor.type);
  const std::int64_t width = tensor.shape.back();
  const stored_rows stored{tensor.type, file_.blocks(tensor), width,
                           static_cast<std::size_t>(width / format.elements) * format.bytes};

  const bool is_vector = tensor.shape.size() == 1;  // one row, which has its heads' elements within
  const std::int64_t rows = static_cast<std::int64_t>(tensor.bytes / stored.row_bytes);
  const std::int64_t head_dim = from.permuted_heads > 0 ? tensor.shape.front() / from.permuted_heads : 1;
  const std::int64_t unit = is_vector ? 1 : head_dim;
  const std::int64_t step = std::min(rows, std::max<std::int64_t>(1, held_elements / width / unit) * unit);
  // Not torch's memory: what it aligns does not fit where the last block was, and a heap would be left with holes.
  const std::unique_ptr<float[]> held(new float[static_cast<std::size_t>(std::max(held_elements, step * width))]);
  const at::Tensor rows_out = weight.view({-1, width});
  for (std::int64_t begin = 0; begin < rows; begin += step) {
    const std::int64_t count = std::min(step, rows - begin);
    const at::Tensor part = at::from_blob(held.get(), {count, width}, at::kFloat);
    const at::Tensor out = rows_out.narrow(0, begin, count);
    stored.read(begin, count, held.get());
    if (from.has_one_added) {
      part.sub_(1);
    }
    if (from.permuted_heads > 0) {
      copy_half_split(out, part, head_dim, is_vector ? 1 : width);
    } else {
      out.copy_(part);
    }
  }
}

}  // namespace kvtransfer
