#include "kvtransfer/rope/detail/mrope_sections.hpp"

#include "support/test.hpp"

namespace kvtransfer::test {

using streams = std::vector<std::uint8_t>;

TEST_CASE("sections lie one after another, interleaved, or height and width first", "[rope][mrope]") {
  using rope::mrope_layout;
  CHECK(rope::mrope_streams(mrope_layout::none, {}, 4).empty());
  CHECK(rope::mrope_streams(mrope_layout::contiguous, {2, 3, 3}, 8) == streams{0, 0, 1, 1, 1, 2, 2, 2});
  CHECK(rope::mrope_streams(mrope_layout::contiguous, {1, 1, 1, 1}, 4) == streams{0, 1, 2, 0});
  CHECK(rope::mrope_streams(mrope_layout::interleaved, {4, 2, 2}, 8) == streams{0, 1, 2, 0, 1, 2, 0, 0});
  CHECK(rope::mrope_streams(mrope_layout::height_width, {2, 2, 3}, 7) == streams{1, 2, 1, 2, 0, 0, 0});
}

TEST_CASE("sections that do not add up are refused", "[rope][mrope][misuse]") {
  using rope::mrope_layout;
  CHECK_THROWS_AS(rope::mrope_streams(mrope_layout::contiguous, {2, 3, 2}, 8), shape_error);
  CHECK_THROWS_AS(rope::mrope_streams(mrope_layout::contiguous, {10, -2, 0}, 8), shape_error);
  CHECK_THROWS_AS(rope::mrope_streams(mrope_layout::interleaved, {4, 4}, 8), shape_error);
}

}  // namespace kvtransfer::test
