#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace kvtransfer::detail {

/// Tells projectors apart by all that decides what they compute: CRC-32 over names, shapes and bytes, in the order in
/// which they are added. A label for people who have several, no proof against forgery.
class projector_digest {
 public:
  projector_digest& add(std::string_view text) {
    crc_ = ::crc32_z(crc_, reinterpret_cast<const Bytef*>(text.data()), text.size());
    return *this;
  }

  projector_digest& add(std::string_view name, const at::Tensor& tensor) {
    add(fmt::format("{} {} [{}]", name, c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ", ")));
    const at::Tensor dense = tensor.detach().cpu().contiguous();
    crc_ = ::crc32_z(crc_, static_cast<const Bytef*>(dense.const_data_ptr()), dense.nbytes());
    return *this;
  }

  /// Eight hexadecimal digits.
  [[nodiscard]] std::string text() const { return fmt::format("{:08x}", crc_); }

 private:
  unsigned long crc_ = 0;
};

}  // namespace kvtransfer::detail
