#include "kvtransfer/rope/move_tensor.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("reframe lands where the other specification would have put the key", "[rope][reframe]") {
  rotary_specification written = plain_specification(16, 1e4);
  written.attention_scaling = 1.4;
  rotary_specification wanted = plain_specification(16, 5e5);
  wanted.attention_scaling = 1.1;
  const at::Tensor keys = random_keys({1, 2, 6, 16}, at::kDouble);
  const at::Tensor p = random_positions({6});
  const at::Tensor q = random_positions({6}, 1 << 20, 5);
  for (const rope::angle_mode mode : {rope::angle_mode::exact, rope::angle_mode::model_faithful}) {
    const rope::options how{.angles = mode};
    at::Tensor moved = rope::rotate(keys, p, written, how);
    rope::reframe_(moved, p, written, q, wanted, how);
    CHECK(relative_error(moved, rope::rotate(keys, q, wanted, how)) < 1e-13);
  }
}

TEST_CASE("reframe between different windows or pairings is refused", "[rope][reframe]") {
  const rotary_specification written = plain_specification(8);
  const at::Tensor keys = random_keys({1, 1, 3, 16});
  const at::Tensor positions = random_positions({3});
  const auto refused = [&](const rotary_specification& wanted) {
    CHECK_THROWS_AS(rope::reframe(keys, positions, written, positions, wanted), frame_error);
  };
  refused(plain_specification(16));
  rotary_specification wanted = written;
  wanted.window_offset = 8;
  refused(wanted);
  wanted = written;
  wanted.pairing = rope::pairing::interleaved;
  refused(wanted);
}

}  // namespace kvtransfer::test
