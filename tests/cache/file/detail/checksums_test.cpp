#include "kvtransfer/cache/file/detail/checksums.hpp"

#include <span>
#include <string>
#include <string_view>

#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

std::uint32_t crc_of_text(std::string_view text) { return crc32_of(std::as_bytes(std::span(text))); }

std::string list_complaint(const std::string& text) {
  return message_of<file_error>([&] { parse_checksums(text, "FILE"); });
}

}  // namespace

TEST_CASE("the checksum is the usual CRC-32", "[cache][file]") {
  CHECK(crc_of_text("123456789") == 0xcbf43926);  // the check value of every CRC catalogue
  CHECK(crc_of_text("") == 0);
}

TEST_CASE("checksums of parts join to that of the whole", "[cache][file]") {
  CHECK(crc32_joined(crc_of_text("kv"), crc_of_text("transfer"), 8) == crc_of_text("kvtransfer"));
  CHECK(crc32_joined(crc_of_text("kv"), crc_of_text(""), 0) == crc_of_text("kv"));
  CHECK(crc32_joined(0, crc_of_text("kv"), 2) == crc_of_text("kv"));
}

TEST_CASE("a list of checksums comes back from its text, whose length is that of its names", "[cache][file]") {
  const checksum_list list{{"a", 0}, {"b", 0xffffffff}, {"c.d", 0x0badcafe}};
  CHECK(parse_checksums(format_checksums(7, list), "FILE") == checksum_record{7, list});
  CHECK(format_checksums(2, {{"a", 1}}) == R"({"algorithm":"crc32","header":"00000002","values":{"a":"00000001"}})");
  CHECK(format_checksums(0, {{"a", 1}}).size() == format_checksums(0xffffffff, {{"a", 0xffffffff}}).size());
  // Version 1 had none over names.
  CHECK(parse_checksums(R"({"algorithm":"crc32","values":{"a":"00000001"}})", "FILE") ==
        checksum_record{std::nullopt, {{"a", 1}}});
}

TEST_CASE("what is no list of checksums is refused by field", "[cache][file]") {
  CHECK(list_complaint(R"({"algorithm":"md5","values":{}})") ==
        R"(FILE: kvtransfer.checksum.algorithm: expected crc32, got "md5")");
  for (const std::string value :
       {"\"123\"", "\"0x123456\"", "\"-1234567\"", "\"1234567g\"", "\"123456789\"", "12345678"}) {
    CHECK_THAT(list_complaint(R"({"algorithm":"crc32","values":{"a":)" + value + "}}"),
               contains("FILE: kvtransfer.checksum.values.a: expected "));
  }
  CHECK_THAT(list_complaint("7"), contains("FILE: kvtransfer.checksum: expected an object of algorithm, values"));
  CHECK_THAT(list_complaint(""), contains("FILE: kvtransfer.checksum: JSON: "));
  CHECK_THAT(list_complaint(R"({"algorithm":"crc32","values":{"a":"00000000","a":"00000001"}})"), contains("twice"));
}

TEST_CASE("the checksum over names counts every name, type, shape and text of a cache file's, and no other",
          "[cache][file]") {
  safetensors_header header;
  header.tensors["token_ids"] = {safetensors_dtype::i64, {2, 5}, 0, 80};
  header.metadata["kvtransfer.frame"] = "{}";
  CHECK(header_checksum(header) == crc_of_text("token_ids\nI64\n2,5\nkvtransfer.frame\n{}\n"));
  const auto changed = [&](auto&& change) {
    safetensors_header other = header;
    change(other);
    return header_checksum(other) != header_checksum(header);
  };
  CHECK(changed([](auto& h) { h.tensors["token_ids"].dtype = safetensors_dtype::u64; }));
  CHECK(changed([](auto& h) { h.tensors["token_ids"].shape = {5, 2}; }));
  CHECK(changed([](auto& h) { h.tensors["token_idr"] = h.tensors.extract("token_ids").mapped(); }));
  CHECK(changed([](auto& h) { h.metadata["kvtransfer.frame"] = "[]"; }));
  CHECK(changed([](auto& h) { h.metadata["kvtransfer.other"] = ""; }));
  CHECK_FALSE(changed([](auto& h) { h.metadata["kvtransfer.checksum"] = "7"; }));
  CHECK_FALSE(changed([](auto& h) { h.metadata["note"] = "mine"; }));
  CHECK_FALSE(changed([](auto& h) { h.tensors["hidden"] = {}; }));
}

TEST_CASE("bytes that differ from their checksum, or have none, are refused", "[cache][file]") {
  const std::string text = "123456789";
  const auto complaint = [&](const checksum_list& list) {
    return message_of<file_error>([&] { require_checksum(list, "a", std::as_bytes(std::span(text)), "FILE"); });
  };
  CHECK(complaint({{"a", 0xcbf43926}}).empty());
  CHECK(complaint({{"a", 1}}) ==
        "FILE: checksum of a: expected 00000001, got cbf43926, so the data has changed since it was written");
  CHECK(complaint({}) == "FILE: kvtransfer.checksum.values: expected an entry for a, got none");
}
