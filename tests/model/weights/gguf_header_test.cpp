#include "kvtransfer/model/weights/gguf_header.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "kvtransfer/core/error.hpp"
#include "model/weights/gguf_bytes.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::gguf_bytes;
using kvtransfer::test::raw;

namespace {

gguf_header parsed(const std::string& file) { return parse_gguf_header(std::as_bytes(std::span(file)), "x.gguf"); }

std::string complaint_about(const std::string& file) {
  return test::message_of<file_error>([&] { static_cast<void>(parsed(file)); });
}

std::string complaint_about(const gguf_bytes& file) { return complaint_about(file.bytes()); }

gguf_bytes two_tensors() {
  gguf_bytes file;
  file.text("general.name", "two").u32("n", 7);
  file.floats("a", {3, 2}, std::string(24, 'a')).tensor("b", {64}, 2, 32).data(std::string(36, 'b'));
  return file;
}

}  // namespace

TEST_CASE("a GGUF header gives metadata and tensors, shapes outermost dimension first", "[model][gguf]") {
  for (const std::uint32_t version : {2U, 3U}) {
    gguf_bytes file = two_tensors();
    file.version = version;
    const std::string bytes = file.bytes();
    const gguf_header header = parsed(bytes);
    CHECK(header.version == version);
    CHECK(header.metadata.text("general.name") == "two");
    REQUIRE(header.tensors.size() == 2);
    const gguf_tensor& a = header.tensors.at("a");
    CHECK(a.type == gguf_tensor_type::f32);
    CHECK(a.shape == std::vector<std::int64_t>{2, 3});
    CHECK(a.bytes == 24);
    CHECK(bytes.substr(a.begin, a.bytes) == std::string(24, 'a'));
    const gguf_tensor& b = header.tensors.at("b");
    CHECK(b.type == gguf_tensor_type::q4_0);
    CHECK(bytes.substr(b.begin, b.bytes) == std::string(36, 'b'));
  }
}

TEST_CASE("the data of a GGUF file begins where general.alignment says", "[model][gguf]") {
  gguf_bytes file;
  file.alignment = 128;
  file.u32("general.alignment", 128).floats("a", {1}, "1234").floats("b", {1}, "5678");
  const std::string bytes = file.bytes();
  const gguf_header header = parsed(bytes);
  CHECK(header.data_begin == 128);
  CHECK(bytes.substr(header.tensors.at("b").begin, 4) == "5678");
  for (const std::uint32_t wrong : {0U, 3U, 48U}) {
    CHECK(complaint_about(gguf_bytes().u32("general.alignment", wrong)) ==
          "x.gguf: \"general.alignment\": expected a power of two below 2^32, got " + std::to_string(wrong) +
              " (uint32)");
  }
  CHECK_THAT(complaint_about(gguf_bytes().text("general.alignment", "32")), test::contains("expected an integer"));
  CHECK(complaint_about(gguf_bytes().u32("general.alignment", 1U << 31).tensor("a", {1}, 0, 0)) ==
        "x.gguf: tensor \"a\": expected 4 bytes at a multiple of 2147483648 within 0 bytes of data, got byte 0");
}

TEST_CASE("other GGUF versions, byte orders and files are refused by name", "[model][gguf]") {
  gguf_bytes file;
  const auto complaint = [&](std::uint32_t version) {
    file.version = version;
    return complaint_about(file);
  };
  CHECK(complaint(1) == "x.gguf: version: expected 2 or 3, little-endian, got 1");
  CHECK(complaint(4) == "x.gguf: version: expected 2 or 3, little-endian, got 4");
  CHECK(complaint(0) == "x.gguf: version: expected 2 or 3, little-endian, got 0");
  CHECK(complaint(0x03000000) == "x.gguf: version: expected 2 or 3, little-endian, got a big-endian file");
  CHECK(complaint_about("") == "x.gguf: magic: expected 4 bytes at byte 0, got the end of the file at 0");
  CHECK(complaint_about("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 99\n") ==
        "x.gguf: content: expected the file itself, got a Git LFS pointer, the file itself was not downloaded (git lfs "
        "pull)");
  CHECK(complaint_about("ggjt1234") == "x.gguf: magic: expected GGUF, got \"ggjt\"");
  CHECK(complaint_about(gguf_bytes().value("split.count", 2, raw<std::uint16_t>(3))) ==
        "x.gguf: \"split.count\": expected a model in one file, got 3 (uint16)");
  CHECK(complaint_about(gguf_bytes().value("split.count", 2, raw<std::uint16_t>(1))).empty());
}

TEST_CASE("counts and lengths that a GGUF file has no room for are refused before they are used", "[model][gguf]") {
  constexpr std::uint64_t huge = ~std::uint64_t{0};
  gguf_bytes values;
  values.stated_values = huge;
  CHECK_THAT(
      complaint_about(values),
      test::contains("metadata count: expected at most 0, which 8 bytes have room for, got 18446744073709551615"));
  gguf_bytes tensors;
  tensors.stated_tensors = huge / 32;
  CHECK_THAT(complaint_about(tensors), test::contains("tensor count: expected at most 0, got 576460752303423487"));
  CHECK_THAT(complaint_about(gguf_bytes().value("k", 8, raw(huge))),
             test::contains("\"k\": expected 18446744073709551615 bytes at byte"));
  CHECK_THAT(complaint_about(gguf_bytes().array("k", 10, huge / 8, "")), test::contains("\"k\": expected at most"));
  CHECK_THAT(complaint_about(gguf_bytes().array("k", 8, 1U << 30, raw(huge))),
             test::contains("\"k\": expected at most"));
  CHECK_THAT(complaint_about(gguf_bytes().array("k", 8, 1, raw(huge))),
             test::contains("\"k\": expected 18446744073709551615 bytes"));
}

TEST_CASE("a GGUF value of a type that does not exist, or of arrays, is refused", "[model][gguf]") {
  CHECK(complaint_about(gguf_bytes().value("k", 13, "")) ==
        "x.gguf: \"k\": expected a value type from 0 to 12, got 13");
  CHECK(complaint_about(gguf_bytes().array("k", 13, 0, "")) ==
        "x.gguf: \"k\": expected a value type from 0 to 12, got 13");
  CHECK(complaint_about(gguf_bytes().array("k", 9, 1, raw<std::uint32_t>(0) + raw<std::uint64_t>(0))) ==
        "x.gguf: \"k\": expected an array of numbers or texts, got an array of arrays");
  CHECK(complaint_about(gguf_bytes().value("k", 7, "\x02")) == "x.gguf: \"k\": expected booleans of 0 or 1, got 2");
  CHECK_THAT(complaint_about(gguf_bytes().array("k", 7, 3, std::string("\x01\x00\xff", 3))), test::contains("got 255"));
}

TEST_CASE("a GGUF key or tensor that comes twice is refused", "[model][gguf]") {
  CHECK(complaint_about(gguf_bytes().u32("k", 1).text("k", "")) ==
        "x.gguf: metadata: expected unique keys, got \"k\" twice");
  CHECK(complaint_about(gguf_bytes().floats("t", {1}, "1234").floats("t", {1}, "1234")) ==
        "x.gguf: tensors: expected unique names, got tensor \"t\" twice");
}

TEST_CASE("a GGUF tensor of an impossible shape or type is refused", "[model][gguf]") {
  const auto complaint = [](std::initializer_list<std::uint64_t> dims, std::uint32_t type) {
    return complaint_about(gguf_bytes().tensor("t", dims, type, 0).data(std::string(64, 0)));
  };
  CHECK(complaint({}, 0) == "x.gguf: tensor \"t\": expected 1 to 4 dimensions, got 0");
  CHECK(complaint({1, 1, 1, 1, 1}, 0) == "x.gguf: tensor \"t\": expected 1 to 4 dimensions, got 5");
  CHECK(complaint({0}, 0) == "x.gguf: tensor \"t\": expected sizes from 1 to 2^63 - 1, got 0");
  CHECK_THAT(complaint({~std::uint64_t{0}}, 0), test::contains("got 18446744073709551615"));
  CHECK(complaint({1ULL << 32, 1ULL << 31}, 0) ==
        "x.gguf: tensor \"t\": expected at most 2^63 - 1 elements and bytes, got more");
  CHECK(complaint({1ULL << 61}, 0) == "x.gguf: tensor \"t\": expected at most 2^63 - 1 elements and bytes, got more");
  CHECK(complaint({33}, 8) == "x.gguf: tensor \"t\": expected rows of whole Q8_0 blocks of 32, got rows of 33");
  CHECK(complaint({1}, 4) == "x.gguf: tensor \"t\": expected a known tensor type, got number 4");
  CHECK(complaint({1}, 42) == "x.gguf: tensor \"t\": expected a known tensor type, got number 42");
  CHECK(complaint({256}, 21) ==
        "x.gguf: tensor \"t\": expected 110 bytes at a multiple of 32 within 64 bytes of data, got byte 0");
}

TEST_CASE("GGUF tensors lie aligned, inside the file and apart", "[model][gguf]") {
  const auto complaint = [](std::uint64_t first, std::uint64_t second) {
    return complaint_about(
        gguf_bytes().tensor("a", {10}, 0, first).tensor("b", {1}, 0, second).data(std::string(96, 0)));
  };
  CHECK(complaint(0, 64).empty());
  CHECK(complaint(32, 0).empty());
  CHECK(complaint(0, 16) ==
        "x.gguf: tensor \"b\": expected 4 bytes at a multiple of 32 within 96 bytes of data, got byte 16");
  CHECK_THAT(complaint(64, 0), test::contains("tensor \"a\": expected 40 bytes at a multiple of 32 within 96 bytes"));
  CHECK_THAT(complaint(~std::uint64_t{31}, 0), test::contains("got byte 18446744073709551584"));
  CHECK(complaint(0, 32) ==
        "x.gguf: tensor \"b\": expected a place behind tensor \"a\", which ends at byte 136, got byte 128");
  CHECK_THAT(complaint(0, 0), test::contains("tensor \"a\": expected a place behind tensor \"b\""));
}

TEST_CASE("every truncation of a good GGUF file is refused", "[model][gguf]") {
  const gguf_bytes file = two_tensors();
  const std::string good = file.bytes();
  REQUIRE(complaint_about(good).empty());
  const gguf_header header = parsed(good);
  const std::uint64_t end = header.tensors.at("b").begin + header.tensors.at("b").bytes;
  for (std::size_t length = 0; length < end; ++length) {
    CAPTURE(length);
    const std::string complaint = complaint_about(good.substr(0, length));
    CHECK_THAT(complaint, test::StartsWith("x.gguf: "));
    CHECK(complaint.find('\n') == complaint.npos);
  }
}
