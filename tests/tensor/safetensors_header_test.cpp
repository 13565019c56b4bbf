#include "kvtransfer/tensor/safetensors_header.hpp"

#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::message_of;

namespace {

/// A file with that JSON and so many bytes of data.
std::string safetensors_bytes_with(std::string_view json, std::size_t data_bytes) {
  const std::uint64_t length = json.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file.append(json).append(data_bytes, 'd');
}

safetensors_header parsed(const std::string& file) {
  return parse_safetensors_header(std::as_bytes(std::span(file)), "x.safetensors");
}

std::string complaint_about(const std::string& file) {
  return message_of<file_error>([&] { parsed(file); });
}

}  // namespace

TEST_CASE("a header gives tensors, metadata and where the data begins", "[tensor][safetensors_header]") {
  const std::string json = R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16]},)"
                           R"("a":{"dtype":"I32","shape":[],"data_offsets":[0,4]}}  )";
  const safetensors_header header = parsed(safetensors_bytes_with(json, 16));
  CHECK(header.data_begin == 8 + json.size());
  CHECK(header.metadata.at("format") == "pt");
  REQUIRE(header.tensors.size() == 2);
  CHECK(header.tensors.at("a") == safetensors_entry{safetensors_dtype::i32, {}, 0, 4});
  CHECK(header.tensors.at("b") == safetensors_entry{safetensors_dtype::f16, {2, 3}, 4, 16});
}

TEST_CASE("a file without tensors is a file", "[tensor][safetensors_header]") {
  CHECK(parsed(safetensors_bytes_with("{}", 0)).tensors.empty());
}

TEST_CASE("empty tensors may stand anywhere between the others", "[tensor][safetensors_header]") {
  const auto header = parsed(safetensors_bytes_with(
      R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"F32","shape":[0,7],"data_offsets":[2,2]},)"
      R"("c":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
      3));
  CHECK(header.tensors.size() == 3);
}

TEST_CASE("what is formatted is parsed as the same, its data aligned to 64 bytes", "[tensor][safetensors_header]") {
  safetensors_header header;
  header.metadata = {{"format", "pt"}, {"note", "ä \"quoted\" \n line"}};
  header.tensors["x.weight"] = {safetensors_dtype::bf16, {3, 5}, 0, 30};
  header.tensors["y"] = {safetensors_dtype::u8, {2}, 30, 32};
  std::string file = format_safetensors_header(header);
  header.data_begin = file.size();
  CHECK(file.size() % 64 == 0);
  CHECK(parsed(file.append(32, '\0')) == header);
}

TEST_CASE("a name that is not UTF-8 is refused before a file holds it", "[tensor][safetensors_header]") {
  safetensors_header header;
  header.tensors["\xff"] = {safetensors_dtype::u8, {0}, 0, 0};
  CHECK_THROWS_AS(format_safetensors_header(header), value_error);
}

TEST_CASE("a header that no reader accepts is not written", "[tensor][safetensors_header]") {
  safetensors_header header;
  header.metadata["long"] = std::string(safetensors_max_header, 'x');
  CHECK_THROWS_AS(format_safetensors_header(header), value_error);
}

TEST_CASE("a header length that cannot be true is refused", "[tensor][safetensors_header]") {
  CHECK(complaint_about("") == "x.safetensors: header length: expected 8 bytes, got a file of 0 bytes");
  CHECK(complaint_about("1234567") == "x.safetensors: header length: expected 8 bytes, got a file of 7 bytes");
  std::string past_the_end = safetensors_bytes_with("{}", 0);
  past_the_end[0] = 3;
  CHECK(complaint_about(past_the_end) == "x.safetensors: header length: expected at most 2 bytes, got 3");
  CHECK_THAT(complaint_about(std::string(16, '\xff')),
             test::contains("expected at most 8 bytes, got 18446744073709551615"));
}

TEST_CASE("a header of more than 100 MB is refused unread", "[tensor][safetensors_header]") {
  std::string file(8 + safetensors_max_header + 1, ' ');
  const std::uint64_t length = safetensors_max_header + 1;
  std::memcpy(file.data(), &length, sizeof length);
  CHECK(complaint_about(file) == "x.safetensors: header length: expected at most 100000000 bytes, got 100000001");
}

TEST_CASE("a malformed header names the tensor, the field, what was expected and what was found",
          "[tensor][safetensors_header]") {
  struct malformed {
    std::string_view json;
    std::size_t data_bytes;
    std::string_view complaint;
  };
  const malformed cases[] = {
      {"", 0, R"(header: expected JSON that begins with '{', got "")"},
      {" {}", 0, R"(header: expected JSON that begins with '{', got " ")"},
      {"{", 0, "JSON: expected valid JSON, got a syntax error at byte 2"},
      {"{} {}", 0, "JSON: expected valid JSON, got a syntax error at byte 4"},
      {R"({"a":{"dtype":[[[]]]}})", 0, "JSON: expected at most 3 nested levels, got more"},
      {R"({"a":1})", 0, R"(tensor "a": fields: expected an object of dtype, shape and data_offsets, got 1)"},
      {R"({"a":{"dtype":"U8","shape":[0]}})", 0,
       R"(tensor "a": fields: expected an object of dtype, shape and data_offsets)"},
      {R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":0}})", 0,
       R"(tensor "a": fields: expected an object)"},
      {R"({"a":{"dtype":"F33","shape":[0],"data_offsets":[0,0]}})", 0,
       R"(tensor "a": dtype: expected one of BOOL, U8)"},
      {R"({"a":{"dtype":7,"shape":[0],"data_offsets":[0,0]}})", 0, R"(F64, C64, got 7)"},
      {R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1,
       R"(tensor "a": shape: expected a list of sizes, got 1)"},
      {R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1,
       "shape: expected sizes from 0 to 2^63 - 1, got -1"},
      {R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1,
       "shape: expected sizes from 0 to 2^63 - 1, got 1.0"},
      {R"({"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1]}})", 1, "got 18446744073709551615"},
      {R"({"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1]}})", 1, "got 1.8446744073709552e+19"},
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
       R"(tensor "a": data_offsets: expected a shape of at most 2^63 - 1 bytes, got more)"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1,
       "data_offsets: expected [begin, end] in bytes, got [0]"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1, "as shape and dtype ask for, got [1, 0]"},
      {R"({"a":{"dtype":"F16","shape":[3],"data_offsets":[0,5]}})", 5,
       R"(tensor "a": data_offsets: expected a range of 6 bytes, as shape and dtype ask for, got [0, 5])"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 3, "and ends by 3, got [0, 4]"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3,
       R"(tensor "b": data_offsets: expected a range that begins at byte 2, behind the tensor before it, and ends by 3, )"
       R"(got [1, 3])"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
       2, R"(tensor "b": data_offsets: expected a range that begins at byte 2)"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}})",
       4, R"(tensor "b": data_offsets: expected a range that begins at byte 2)"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 3,
       "data: expected 2 bytes, as the header says, got 3"},
      {R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[18446744073709551615,18446744073709551615]}})", 0,
       "begins at byte 0, behind the tensor before it, and ends by 0, got [18446744073709551615, "
       "18446744073709551615]"},
      {R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
       0, R"(JSON: expected unique keys, got "a" twice)"},
      {R"({"__metadata__":[]})", 0, "__metadata__: expected an object of strings, got array"},
      {R"({"__metadata__":{"a":1}})", 0, R"(__metadata__: "a": expected a string, got number)"},
      {R"({"a\nb":1})", 0, R"(tensor "a\nb": fields)"},
  };
  for (const malformed& one : cases) {
    CAPTURE(one.json);
    const std::string complaint = complaint_about(safetensors_bytes_with(one.json, one.data_bytes));
    CHECK_THAT(complaint, test::StartsWith("x.safetensors: ") && test::contains(std::string(one.complaint)));
    CHECK(complaint.find('\n') == complaint.npos);
  }
}

TEST_CASE("every truncation of a good file is refused", "[tensor][safetensors_header]") {
  const std::string file = safetensors_bytes_with(R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})", 16);
  REQUIRE(complaint_about(file).empty());
  for (std::size_t length = 0; length < file.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(complaint_about(file.substr(0, length)).empty());
  }
}
