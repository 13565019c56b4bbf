#include "kvtransfer/cache/file/detail/frame_tensors.hpp"

#include <cstdint>
#include <memory>
#include <vector>

#include "cache/file/sample_cache.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("a frame's tensors are positions and states by frame, then token ids", "[cache][file]") {
  const cache_frame frame = sample_frame();
  const std::vector<frame_tensor> tensors = frame_tensors(frame, distinct_frames(frame));
  REQUIRE(tensors.size() == 12);
  CHECK(tensors[4].declaration.name == "frames.2.positions");
  CHECK(tensors[4].declaration.shape == std::vector<std::int64_t>{3, 2, 1, 4});
  CHECK(tensors[5].declaration.dtype == safetensors_dtype::i32);
  CHECK(tensors[5].bytes.size() == 8 * sizeof(std::int32_t));
  CHECK(tensors[10].declaration.name == "layers.0.token_ids");
  CHECK(tensors[11].declaration.name == "layers.1.token_ids");
  CHECK(tensors[11].bytes.size() == 10 * sizeof(std::int64_t));
  const std::vector<frame_tensor> of_one_text = frame_tensors(frame.of_layer(0), distinct_frames(frame.of_layer(0)));
  CHECK(of_one_text.back().declaration.name == "token_ids");
}

TEST_CASE("a text that is not known has no token ids", "[cache][file]") {
  const cache_frame frame(2, unequal_rows());
  CHECK(frame_tensors(frame, distinct_frames(frame)).size() == 2);
}

TEST_CASE("more rows than a reader takes are not written", "[cache][file]") {
  constexpr std::int64_t batch = 1 << 14;
  const position_map map(256, batch, 1, std::vector<position_row>(256 * batch));
  CHECK(static_cast<std::int64_t>(map.rows().size()) == cache_format::most_rows);
  const cache_frame frame(
      {std::make_shared<const layer_frame>(layer_frame{map, {}}), std::make_shared<const layer_frame>(unequal_rows())});
  CHECK_THROWS_AS(frame_tensors(frame, distinct_frames(frame)), value_error);
}
