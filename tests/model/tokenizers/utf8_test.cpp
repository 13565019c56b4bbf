#include "model/tokenizers/utf8.hpp"

#include <string>

#include "model/tokenizers/byte_alphabet.hpp"
#include "support/test.hpp"

using namespace kvtransfer::detail;

TEST_CASE("broken UTF-8 becomes U+FFFD as in Python and Rust: one for each sequence as far as it was right",
          "[model][tokenizers]") {
  CHECK(valid_utf8("a\xffz") == "a\uFFFDz");
  CHECK(valid_utf8("\xe2\x82") == "\uFFFD");
  CHECK(valid_utf8("\xe2\x82z") == "\uFFFDz");
  CHECK(valid_utf8("\xf0\x9f\x98\xf0\x9f\x98\x80") == "\uFFFD😀");
  CHECK(valid_utf8("\xed\xa0\x80") == "\uFFFD\uFFFD\uFFFD");            // a surrogate
  CHECK(valid_utf8("\xc0\xaf") == "\uFFFD\uFFFD");                      // not the shortest form
  CHECK(valid_utf8("\xf4\x90\x80\x80") == "\uFFFD\uFFFD\uFFFD\uFFFD");  // beyond U+10FFFF
  CHECK(valid_utf8(std::string("\0é😀", 7)) == std::string("\0é😀", 7));
}

TEST_CASE("SentencePiece's rule gives one U+FFFD for each byte", "[model][tokenizers]") {
  utf8_repair repair(replacement::per_byte);
  CHECK(repair.push("\xe2\x82z") == "\uFFFD\uFFFDz");
  CHECK(repair.push("\xf0\x9f").empty());
  CHECK(repair.finish() == "\uFFFD\uFFFD");
}

TEST_CASE("bytes that come one by one give the same text as all at once", "[model][tokenizers]") {
  const std::string bytes = "x\xe2\x82\xac\xf0\x9f\x98\x80\xe2\x28\xff\xc3\xa9\xf0\x9f";
  for (const replacement rule : {replacement::per_sequence, replacement::per_byte}) {
    utf8_repair whole(rule);
    utf8_repair split(rule);
    std::string text;
    for (const char byte : bytes) {
      text += split.push({&byte, 1});
    }
    text += split.finish();
    std::string at_once = whole.push(bytes);
    at_once += whole.finish();
    CHECK(text == at_once);
  }
}

TEST_CASE("every byte has a character of its own and comes back from it", "[model][tokenizers]") {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) {
    bytes += static_cast<char>(byte);
  }
  const std::string text = in_byte_alphabet(bytes);
  CHECK(from_byte_alphabet(text) == bytes);
  CHECK(in_byte_alphabet(" \n!") == "ĠĊ!");
  CHECK_FALSE(from_byte_alphabet("a b"));
  CHECK_FALSE(from_byte_alphabet("é☃"));
}
