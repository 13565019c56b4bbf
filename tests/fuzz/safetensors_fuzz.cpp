// libFuzzer harness for what reads safetensors files before torch does: the header and the index of shards.
// (CMakeLists.txt says how to build and run it.) A hostile file may be refused with a file_error, and with nothing
// else; one that is accepted must keep the promises that the tensors rely on.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "insist.hpp"
#include "kvtransfer/tensor/safetensors_folder.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace {

using kvtransfer::safetensors_header;
using kvtransfer::fuzz::insist;
using kvtransfer::fuzz::insist_one_line;

/// Reads every byte that a tensor would show: the address sanitizer sees one outside the file.
std::uint64_t touch(std::span<const std::byte> file, const safetensors_header& header) {
  std::uint64_t sum = 0;
  for (const auto& [name, entry] : header.tensors) {
    insist(kvtransfer::safetensors_bytes(entry.shape, entry.dtype) == entry.end - entry.begin);
    for (const std::byte byte : file.subspan(header.data_begin).subspan(entry.begin, entry.end - entry.begin)) {
      sum += static_cast<std::uint64_t>(byte);
    }
  }
  return sum;
}

void read_header(std::span<const std::byte> file) {
  const safetensors_header header = kvtransfer::parse_safetensors_header(file, "fuzz");
  volatile std::uint64_t seen = touch(file, header);
  static_cast<void>(seen);

  std::string written = kvtransfer::format_safetensors_header(header);
  safetensors_header expected = header;
  expected.data_begin = written.size();
  written.append(file.size() - header.data_begin, '\0');
  insist(kvtransfer::parse_safetensors_header(std::as_bytes(std::span(written)), "fuzz") == expected);
}

void read_index(std::span<const std::byte> file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  for (const auto& [tensor, shard] : kvtransfer::detail::parse_safetensors_index(text, "fuzz")) {
    insist(shard.find('/') == shard.npos && shard != "..");
  }
}

template <class Read>
void refuse_or_read(Read read, std::span<const std::byte> file) {
  try {
    read(file);
  } catch (const kvtransfer::file_error& refused) {
    insist_one_line(refused);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  refuse_or_read(read_header, file);
  refuse_or_read(read_index, file);
  return 0;
}
