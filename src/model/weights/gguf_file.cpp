#include "kvtransfer/model/weights/gguf_file.hpp"

#include <fmt/format.h>

#include <utility>

#include "gguf_dequantize.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"

namespace kvtransfer {

gguf_file gguf_file::open(const std::filesystem::path& path) {
  auto mapping = mapped_file::open(path);
  auto header = parse_gguf_header(mapping->bytes(), path.string());
  return {std::move(mapping), std::make_shared<const gguf_header>(std::move(header))};
}

const gguf_tensor& gguf_file::tensor(std::string_view name) const {
  const auto found = header_->tensors.find(name);
  if (found == header_->tensors.end()) {
    fail<file_error>(path().string(), "tensor", excerpt(name),
                     fmt::format("{} other tensors", header_->tensors.size()));
  }
  return found->second;
}

std::vector<float> gguf_file::floats(std::string_view name) const {
  const gguf_tensor& found = tensor(name);
  require_readable(found, name, path().string());
  const gguf_block_format& format = describe(found.type);
  std::vector<float> elements(found.bytes / format.bytes * format.elements);
  detail::dequantize(found.type, blocks(found), elements);
  return elements;
}

void require_readable(const gguf_tensor& tensor, std::string_view name, std::string_view file) {
  const gguf_block_format& format = describe(tensor.type);
  if (!format.readable) {
    fail<file_error>(file, fmt::format("tensor {}: type", excerpt(name)),
                     fmt::format("one of {}", readable_gguf_tensor_types()), format.name);
  }
}

}  // namespace kvtransfer
