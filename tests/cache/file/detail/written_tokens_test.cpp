#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "kvtransfer/cache/file/detail/checksums.hpp"
#include "kvtransfer/cache/file/detail/streamed_tensor.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("ranges grow together until all is written", "[cache][file]") {
  written_tokens tokens(10, 4);
  CHECK(tokens.described() == "none");
  tokens.add(6, 2, {});
  tokens.add(0, 3, {});
  CHECK(tokens.described() == "[0, 3), [6, 8)");
  tokens.add(3, 3, {});
  CHECK(tokens.described() == "[0, 8)");
  CHECK_FALSE(tokens.complete());
  tokens.add(8, 0, {});
  tokens.add(8, 2, {});
  CHECK(tokens.complete());
  CHECK(written_tokens(0, 4).complete());
}

TEST_CASE("tokens outside, or written before, are refused", "[cache][file]") {
  written_tokens tokens(10, 4);
  tokens.add(3, 3, {});
  const auto free = [&](std::int64_t begin, std::int64_t count) {
    return message_of<value_error>([&] { tokens.require_free(begin, count, "W", "w"); }).empty();
  };
  CHECK(free(0, 3));
  CHECK(free(6, 4));
  CHECK(free(4, 0));
  CHECK_FALSE(free(0, 4));
  CHECK_FALSE(free(5, 1));
  CHECK_FALSE(free(2, 8));
  CHECK_FALSE(free(6, 5));
  CHECK_FALSE(free(-1, 2));
  CHECK_FALSE(free(11, 0));
  CHECK(message_of<value_error>([&] { tokens.require_free(5, 2, "W", "w"); }) ==
        "W: w: expected tokens that were not written before, got [5, 7), when [3, 6) was");
}

TEST_CASE("checksums of ranges in any order are that of the whole", "[cache][file]") {
  constexpr std::int64_t seq = 40;
  constexpr std::size_t token_bytes = 3;
  std::mt19937 random(9);
  std::vector<std::byte> data(2 * seq * token_bytes);  // two rows
  std::generate(data.begin(), data.end(), [&] { return static_cast<std::byte>(random()); });
  std::vector<std::int64_t> order(seq / 2);
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i] = 2 * static_cast<std::int64_t>(i);
  }
  for (int trial = 0; trial < 20; ++trial) {
    std::shuffle(order.begin(), order.end(), random);
    written_tokens tokens(seq, token_bytes);
    for (const std::int64_t begin : order) {
      const auto piece = [&](std::size_t row) {
        return std::span(data).subspan((row * seq + static_cast<std::size_t>(begin)) * token_bytes, 2 * token_bytes);
      };
      tokens.add(begin, 2, {crc32_of(piece(0)), crc32_of(piece(1))});
    }
    REQUIRE(tokens.complete());
    REQUIRE(tokens.checksum() == crc32_of(data));
  }
}
