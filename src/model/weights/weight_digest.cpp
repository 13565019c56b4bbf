#include "model/weights/weight_digest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer::detail {

void weight_digest::begin(std::string_view name, std::string_view dtype, std::span<const std::int64_t> shape) {
  require<value_error>(last_.empty() || last_ < name, "weight_digest", "names", fmt::format("one behind {}", last_),
                       name);
  last_ = name;
  digest_.add(name);
  digest_.add(dtype);
  digest_.add(static_cast<std::uint64_t>(shape.size()));
  for (const std::int64_t extent : shape) {
    digest_.add(static_cast<std::uint64_t>(extent));
  }
}

model_digest digest_when_asked(std::vector<stored_tensor> tensors) {
  return model_digest::worked_out_by([tensors = std::move(tensors)] {
    constexpr std::size_t piece_bytes = std::size_t{1} << 18;  // stays in a core's own cache between copy and hash
    std::vector<std::byte> piece(piece_bytes);
    weight_digest digest;
    for (const stored_tensor& tensor : tensors) {
      digest.begin(tensor.name, tensor.dtype, tensor.shape);
      const auto begin = static_cast<std::size_t>(tensor.bytes.data() - tensor.file->bytes().data());
      for (std::size_t done = 0; done < tensor.bytes.size(); done += piece_bytes) {
        const auto part = std::span(piece).first(std::min(piece_bytes, tensor.bytes.size() - done));
        tensor.file->read(begin + done, part);
        digest.add(part);
      }
    }
    for (const stored_tensor& tensor : tensors) {
      tensor.file->require_unchanged();
    }
    return digest.text();
  });
}

std::string digest_of(const model_weights& weights) {
  std::map<std::string, at::Tensor> by_name;
  for_each_parameter(weights,
                     [&](const std::string& name, const at::Tensor& tensor) { by_name.emplace(name, tensor); });
  weight_digest digest;
  for (const auto& [name, tensor] : by_name) {
    const auto dtype = safetensors_dtype_of(tensor.scalar_type());
    require<value_error>(dtype.has_value(), "digest_of", name, "a type that safetensors has",
                         at::toString(tensor.scalar_type()));
    const at::Tensor dense = tensor.detach().cpu().resolve_neg().contiguous();
    digest.add(name, describe(*dtype).name, dense.sizes(), bytes_of(dense));
  }
  return digest.text();
}

}  // namespace kvtransfer::detail
