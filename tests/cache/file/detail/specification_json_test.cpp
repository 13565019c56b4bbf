#include "kvtransfer/cache/file/detail/specification_json.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "cache/file/sample_cache.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// A specification written to text and read back.
rotary_specification specification_through_text(const rotary_specification& specification) {
  const auto json = nlohmann::json::parse(specification_to_json(specification).dump());
  return specification_from_json({json, "FILE", "spec"});
}

/// What reading the sample specification complains of with one member replaced.
std::string specification_complaint(const std::string& member, const nlohmann::json& value) {
  nlohmann::json json = specification_to_json(sample_specification());
  json[member] = value;
  return message_of<file_error>([&] { specification_from_json({json, "FILE", "spec"}); });
}

}  // namespace

TEST_CASE("a specification comes back from text in every field", "[cache][file]") {
  rotary_specification streams = plain_specification(6);
  streams.stream_of = {0, 255, 1};
  for (const rotary_specification& specification : {sample_specification(), streams, rotary_specification{}}) {
    CHECK(specification_through_text(specification) == specification);
  }
}

TEST_CASE("frequencies and scaling come back bit for bit, whatever their bits", "[cache][file]") {
  std::mt19937_64 random(5);
  rotary_specification specification;
  while (specification.inv_freq.size() < 2000) {
    const auto frequency = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (std::isfinite(frequency)) {
      specification.inv_freq.push_back(frequency);
    }
  }
  specification.inv_freq.push_back(-0.0F);
  specification.inv_freq.push_back(std::numeric_limits<float>::denorm_min());
  specification.attention_scaling = std::bit_cast<double>(std::uint64_t{0x3ff1'1234'5678'9abc});
  const rotary_specification read = specification_through_text(specification);
  REQUIRE(read.inv_freq.size() == specification.inv_freq.size());
  for (std::size_t i = 0; i < read.inv_freq.size(); ++i) {
    REQUIRE(std::bit_cast<std::uint32_t>(read.inv_freq[i]) == std::bit_cast<std::uint32_t>(specification.inv_freq[i]));
  }
  CHECK(std::bit_cast<std::uint64_t>(read.attention_scaling) == 0x3ff1'1234'5678'9abc);
}

TEST_CASE("what no specification can say is refused by field", "[cache][file]") {
  CHECK(specification_complaint("inv_freq", {0.1}) ==
        "FILE: spec.inv_freq[0]: expected a number that fp32 holds exactly, got 0.1");
  CHECK(specification_complaint("inv_freq", {1, 1e300}) ==
        "FILE: spec.inv_freq[1]: expected a number that fp32 holds exactly, got 1e+300");
  CHECK(specification_complaint("attention_scaling", 0) ==
        "FILE: spec.attention_scaling: expected a finite, positive number, got 0");
  CHECK(specification_complaint("pairing", "neox") ==
        "FILE: spec.pairing: expected half_split or interleaved, got \"neox\"");
  CHECK_THAT(specification_complaint("window_offset", -1), contains("FILE: spec.window_offset: expected an integer"));
  CHECK_THAT(specification_complaint("stream_of", {256, 0}), contains("FILE: spec.stream_of[0]: expected an integer"));
  CHECK(specification_complaint("stream_of", {0}) ==
        "FILE: spec.stream_of: expected no entry, or one for each of 2 frequencies, got [0]");
  CHECK_THAT(specification_complaint("theta", 1e4), contains("FILE: spec: expected an object of rope_type, inv_freq"));
}

TEST_CASE("a specification that nobody could read back is not written", "[cache][file]") {
  rotary_specification infinite = sample_specification();
  infinite.inv_freq[0] = std::numeric_limits<float>::infinity();
  CHECK_THROWS_AS(specification_to_json(infinite), value_error);
}

TEST_CASE("a window fits into a head, and streams into those there are", "[cache][file]") {
  rotary_specification specification = plain_specification(4);
  const auto fits = [&](std::int64_t streams, std::int64_t head_dim) {
    return message_of<shape_error>([&] { require_fitting<shape_error>(specification, streams, head_dim, "W", "w"); })
        .empty();
  };
  specification.window_offset = 4;
  CHECK(fits(1, 8));
  CHECK_FALSE(fits(1, 7));
  CHECK_FALSE(fits(1, 3));
  specification.window_offset = std::numeric_limits<std::int64_t>::max();
  CHECK_FALSE(fits(1, 8));
  specification.window_offset = 0;
  specification.stream_of = {0, 2};
  CHECK(fits(1, 8));  // text: one stream serves all
  CHECK(fits(3, 8));
  CHECK_FALSE(fits(2, 8));
}
