#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/file/detail/checksums.hpp"
#include "kvtransfer/cache/file/detail/frame_tensor.hpp"
#include "kvtransfer/cache/file/detail/streamed_tensor.hpp"
#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer::detail {

/// A cache file on its way: header and frames are written at once, the large tensors by whoever has them, and before
/// `finish` nothing stands under the file's name. Without it (an exception, say) nothing is left.
class framed_file_writer {
 public:
  /// @param small the frames' tensors
  /// @param large what else the file will hold, in the order that it is to be read in
  /// @param entries metadata; checksums guard it as they do the tensors
  /// @throws file_error if the folder takes no new file; value_error for sizes that a file cannot have
  framed_file_writer(const std::filesystem::path& path, const std::vector<frame_tensor>& small,
                     const std::vector<unplaced_tensor>& large, const safetensors_metadata& entries,
                     file_checksums checksums);

  /// A tensor of the file, to be written.
  [[nodiscard]] streamed_tensor streamed(const std::string& name) const;

  atomic_file& file() { return file_; }

  /// Takes note that a tensor is written. @throws value_error if some of it is missing
  void complete(const streamed_tensor& tensor, std::string_view where);

  /// Gives the file its name, replacing an older one. The caller has written every tensor and called `complete` for it.
  /// @throws file_error if the disk refuses
  void finish();

  /// @throws value_error after `finish`
  void require_unfinished(std::string_view where) const;

 private:
  /// Writes the header, or writes it again: checksums change, its length does not.
  /// @return bytes
  std::uint64_t write_header();

  atomic_file file_;
  file_checksums with_checksums_;
  bool finished_ = false;
  safetensors_header header_;
  checksum_list checksums_;
};

}  // namespace kvtransfer::detail

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/file/detail/framed_file_writer.ipp"  // IWYU pragma: export
#endif
