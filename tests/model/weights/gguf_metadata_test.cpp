#include "kvtransfer/model/weights/gguf_metadata.hpp"

#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/weights/gguf_header.hpp"
#include "model/weights/gguf_bytes.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::gguf_bytes;
using kvtransfer::test::raw;
using kvtransfer::test::raw_text;

namespace {

/// Metadata with the bytes it points into.
struct held_metadata {
  explicit held_metadata(const gguf_bytes& file)
      : bytes(file.bytes()), values(parse_gguf_header(std::as_bytes(std::span(bytes)), "x.gguf").metadata) {}

  std::string bytes;
  gguf_metadata values;
};

template <class Read>
std::string metadata_complaint(Read&& read) {
  return test::message_of<file_error>([&] { static_cast<void>(read()); });
}

}  // namespace

TEST_CASE("GGUF integers of every width and sign are whole numbers", "[model][gguf]") {
  const held_metadata metadata(gguf_bytes()
                                   .value("u8", 0, raw<std::uint8_t>(200))
                                   .value("i8", 1, raw<std::int8_t>(-100))
                                   .value("u16", 2, raw<std::uint16_t>(60000))
                                   .value("i16", 3, raw<std::int16_t>(-30000))
                                   .value("u32", 4, raw<std::uint32_t>(4'000'000'000))
                                   .value("i32", 5, raw<std::int32_t>(-2'000'000'000))
                                   .value("u64", 10, raw<std::uint64_t>(1ULL << 62))
                                   .value("i64", 11, raw(std::numeric_limits<std::int64_t>::min()))
                                   .value("past", 10, raw<std::uint64_t>(1ULL << 63)));
  const gguf_metadata& values = metadata.values;
  CHECK(values.integer("u8") == 200);
  CHECK(values.integer("i8") == -100);
  CHECK(values.integer("u16") == 60000);
  CHECK(values.integer("i16") == -30000);
  CHECK(values.integer("u32") == 4'000'000'000);
  CHECK(values.integer("i32") == -2'000'000'000);
  CHECK(values.integer("u64") == std::int64_t{1} << 62);
  CHECK(values.integer("i64") == std::numeric_limits<std::int64_t>::min());
  CHECK(values.integers("u8") == std::vector<std::int64_t>{200});
  CHECK(metadata_complaint([&] { return values.integer("past"); }) ==
        "x.gguf: \"past\": expected an integer of at most 2^63 - 1, got 9223372036854775808 (uint64)");
}

TEST_CASE("a float32 in GGUF metadata reads as the decimal it was rounded from", "[model][gguf]") {
  const held_metadata metadata(
      gguf_bytes().f32("eps", 1e-5F).f32("theta", 1e6F).f32("tenth", 0.1F).value("wide", 12, raw(0.1)));
  CHECK(metadata.values.number("eps") == 1e-5);
  CHECK(metadata.values.number("theta") == 1e6);
  CHECK(metadata.values.number("tenth") == 0.1);
  CHECK(metadata.values.number("wide") == 0.1);
  CHECK(shortest_decimal(-0.0F) == 0);
  CHECK(shortest_decimal(std::numeric_limits<float>::denorm_min()) == 1e-45);
  CHECK(static_cast<float>(shortest_decimal(0.7182818F)) == 0.7182818F);
}

TEST_CASE("GGUF arrays are read when they are asked for", "[model][gguf]") {
  const held_metadata metadata(gguf_bytes()
                                   .array("texts", 8, 3, raw_text("one") + raw_text("") + raw_text("dr\xc3\xa9i"))
                                   .array("none", 8, 0, "")
                                   .array("scores", 6, 2, raw(1.5F) + raw(-2.0F))
                                   .array("types", 5, 2, raw<std::int32_t>(3) + raw<std::int32_t>(-1))
                                   .array("flags", 7, 2, std::string("\x01\x00", 2)));
  const gguf_metadata& values = metadata.values;
  CHECK(values.texts("texts") == std::vector<std::string_view>{"one", "", "dr\xc3\xa9i"});
  CHECK(values.texts("none").empty());
  CHECK(values.floats("scores") == std::vector<float>{1.5F, -2.0F});
  CHECK(values.integers("types") == std::vector<std::int64_t>{3, -1});
  CHECK(values.integers("flags") == std::vector<std::int64_t>{1, 0});
  CHECK(metadata_complaint([&] { return values.texts("scores"); }) ==
        "x.gguf: \"scores\": expected an array of texts, got an array of 2 x float32");
  CHECK(metadata_complaint([&] { return values.floats("types"); }) ==
        "x.gguf: \"types\": expected an array of float32, got an array of 2 x int32");
  CHECK_THAT(metadata_complaint([&] { return values.integers("texts"); }), test::contains("got an array of 3 x text"));
}

TEST_CASE("a missing GGUF key gives nothing, one of another type is refused with what it is", "[model][gguf]") {
  const held_metadata metadata(gguf_bytes().text("text", "a\nb").boolean("flag", true).u32("n", 4).f32("x", 2.5F));
  const gguf_metadata& values = metadata.values;
  CHECK_FALSE(values.has("other"));
  CHECK(values.integer("other") == std::nullopt);
  CHECK(values.number("other") == std::nullopt);
  CHECK(values.boolean("other") == std::nullopt);
  CHECK(values.text("other") == std::nullopt);
  CHECK(values.integers("other").empty());
  CHECK(values.floats("other").empty());
  CHECK(values.texts("other").empty());
  CHECK(values.text("text") == "a\nb");
  CHECK(values.boolean("flag") == true);
  CHECK_THAT(metadata_complaint([&] { return values.integer("text"); }),
             test::contains(R"("text": expected an integer of at most 2^63 - 1, got "a\nb")"));
  CHECK_THAT(metadata_complaint([&] { return values.integer("flag"); }), test::contains("got true"));
  CHECK_THAT(metadata_complaint([&] { return values.integer("x"); }), test::contains("got 2.5 (float32)"));
  CHECK_THAT(metadata_complaint([&] { return values.number("n"); }),
             test::contains("expected a float32 or float64, got 4 (uint32)"));
  CHECK_THAT(metadata_complaint([&] { return values.boolean("n"); }),
             test::contains("expected true or false, got 4 (uint32)"));
  CHECK_THAT(metadata_complaint([&] { return values.text("n"); }), test::contains("expected a text, got 4 (uint32)"));
  CHECK(metadata_complaint([&] {
          values.refuse("other", "x");
          return 0;
        }) == "x.gguf: \"other\": expected x, got no such key");
}
