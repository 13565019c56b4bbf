#include <vector>

#include "cache/file/sample_cache.hpp"
#include "kvtransfer/cache/file/detail/frame_tensors.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("layers with equal frames name the same one, whether or not they share it", "[cache][file]") {
  const auto frame_of = [](std::int64_t seq) { return std::make_shared<const layer_frame>(unequal_rows(seq)); };
  const cache_frame::shared_layer shared = frame_of(5);
  const distinct_frames distinct(cache_frame({shared, frame_of(4), shared, frame_of(5), frame_of(4)}));
  CHECK(distinct.layers == std::vector<std::size_t>{0, 1, 0, 0, 1});
  CHECK(distinct.frames.size() == 2);
}

TEST_CASE("a record says where the cache came from and each frame's specifications", "[cache][file]") {
  const cache_frame frame = sample_frame();
  const frame_record record = record_of(frame, distinct_frames(frame), file_checksums::crc32);
  CHECK(record.origin == frame.origin());
  CHECK(record.assumed);
  CHECK(record.checksums == true);
  CHECK(record.layers == std::vector<std::size_t>{0, 0, 1, 2, 3, 4});
  CHECK((record.frames[1] == positions_by_head().specifications));
  CHECK(record.frames[4].empty());
}
