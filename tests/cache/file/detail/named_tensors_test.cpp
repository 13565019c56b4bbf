#include <optional>
#include <span>
#include <string>

#include "kvtransfer/cache/file/detail/framed_file.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// Two tensors of three bytes each in a file without header.
struct two_tensors {
  std::string bytes = "abcdef";
  std::optional<checksum_list> checksums;
  safetensors_header header{
      {{"frames.0.a", {safetensors_dtype::u8, {3}, 0, 3}}, {"mine", {safetensors_dtype::u8, {3, 1}, 3, 6}}}, {}, 0};
  named_tensors tensors{std::as_bytes(std::span(bytes)), "FILE", header, checksums};
};

}  // namespace

TEST_CASE("a tensor is looked up with what it has to be", "[cache][file]") {
  two_tensors file;
  const auto complaint = [&](auto&& look_up) { return message_of<file_error>([&] { look_up(file.tensors); }); };
  CHECK(file.tensors.expect("mine", 2, safetensors_dtype::u8).begin == 3);
  CHECK(complaint([](auto& tensors) { tensors.expect("other", 1); }) ==
        "FILE: tensor other: expected a tensor of that name, got none");
  CHECK(complaint([](auto& tensors) { tensors.expect("mine", 1); }) ==
        "FILE: tensor mine: expected a shape of 1 axes, got [3, 1]");
  CHECK(complaint([](auto& tensors) { tensors.expect("mine", 2, safetensors_dtype::i8); }) ==
        "FILE: tensor mine: expected I8, got U8");
  CHECK(complaint([](auto& tensors) { tensors.require_shape("mine", {1, 3}); }) ==
        "FILE: tensor mine: expected shape [1, 3], got [3, 1]");
}

TEST_CASE("bytes are verified where the file has checksums", "[cache][file]") {
  two_tensors file;
  CHECK(static_cast<char>(file.tensors.bytes("mine")[0]) == 'd');
  file.checksums = checksum_list{{"mine", crc32_of(std::as_bytes(std::span(file.bytes)).last(3))}, {"frames.0.a", 1}};
  CHECK_NOTHROW(file.tensors.bytes("mine"));
  CHECK_THROWS_AS(file.tensors.bytes("frames.0.a"), file_error);
}

TEST_CASE("a tensor of ours that nobody expected is a stray, one of somebody else's is not", "[cache][file]") {
  two_tensors file;
  CHECK_THROWS_AS(file.tensors.refuse_strays(), file_error);
  file.tensors.expect("frames.0.a", 1);
  CHECK_NOTHROW(file.tensors.refuse_strays());
}
