// libFuzzer harness for all of a GGUF file that is read before torch sees it: header, metadata, blocks, and the
// configuration and the tokenizer that come of them. (CMakeLists.txt says how to build and run it.) A hostile file may
// be refused with a file_error, and with nothing else; in one that is accepted tensors lie inside the file and apart,
// and every value can be read or refused.

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "insist.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/tokenizers/gguf_vocabulary.hpp"
#include "kvtransfer/model/weights/gguf_config.hpp"
#include "kvtransfer/model/weights/gguf_file.hpp"

namespace {

using namespace kvtransfer;
using kvtransfer::fuzz::insist;
using kvtransfer::fuzz::insist_one_line;

template <class Read>
void refuse_or(Read read) {
  try {
    read();
  } catch (const file_error& refused) {
    insist_one_line(refused);
  }
}

/// A file in memory under a name, as the reader wants one.
class named_bytes {
 public:
  explicit named_bytes(std::span<const std::uint8_t> bytes) : descriptor_(::memfd_create("fuzz", 0)) {
    insist(descriptor_ >= 0);
    insist(::write(descriptor_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    // A reader waits until a file that was just written to is a clock's tick old, most of an input's time.
    const ::timespec long_ago[2] = {{1, 0}, {1, 0}};
    insist(::futimens(descriptor_, long_ago) == 0);
  }
  named_bytes(const named_bytes&) = delete;
  named_bytes& operator=(const named_bytes&) = delete;
  ~named_bytes() { ::close(descriptor_); }

  [[nodiscard]] std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

void read_values(const gguf_metadata& metadata) {
  for (const auto& [name, value] : metadata.values()) {
    const std::string& key = name;
    refuse_or([&] { static_cast<void>(metadata.integer(key)); });
    refuse_or([&] { static_cast<void>(metadata.number(key)); });
    refuse_or([&] { static_cast<void>(metadata.boolean(key)); });
    refuse_or([&] { static_cast<void>(metadata.text(key)); });
    refuse_or([&] { insist(metadata.integers(key).size() == metadata.values().at(key).count); });
    refuse_or([&] { insist(metadata.floats(key).size() == metadata.values().at(key).count); });
    refuse_or([&] {
      std::size_t length = 0;
      for (const std::string_view text : metadata.texts(key)) {
        length += text.size() + sizeof(std::uint64_t);
      }
      insist(length == metadata.values().at(key).bytes.size());
    });
  }
}

void read_tensors(const gguf_file& file, std::size_t size) {
  std::size_t stored = 0;
  for (const auto& [name, tensor] : file.header().tensors) {
    std::size_t elements = 1;
    for (const std::int64_t extent : tensor.shape) {
      elements *= static_cast<std::size_t>(extent);
    }
    const gguf_block_format& format = describe(tensor.type);
    insist(elements / format.elements * format.bytes == tensor.bytes);
    insist(tensor.begin >= file.header().data_begin && tensor.begin + tensor.bytes <= size);
    stored += tensor.bytes;
    const std::string& key = name;
    refuse_or([&] { insist(file.floats(key).size() == elements); });
  }
  insist(stored <= size);  // apart from one another
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const named_bytes bytes({data, size});
  refuse_or([&] {
    const gguf_file file = gguf_file::open(bytes.path());
    read_values(file.metadata());
    read_tensors(file, size);
    refuse_or([&] { static_cast<void>(tokenizer_of(read_gguf_vocabulary(file.metadata()))); });
    static_cast<void>(gguf_config(file));
  });
  return 0;
}
