// One cache in two files: written by Python's safetensors (make_fixtures.py) and by this library (check_fixtures.py
// reads it).

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "cache/file/quantized/sample_quantized_cache.hpp"
#include "cache/file/sample_cache.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/quantized/quantized_cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

const std::filesystem::path fixtures_folder = KVT_SOURCE_DIR "/tests/cache/file/fixtures";

/// `[batch=2, kv_heads=2, seq=3, head_dim=4]`, eighths of whole numbers: exact in every type.
at::Tensor eighths(int sign, int offset, at::ScalarType dtype) {
  return (at::arange(48, at::kFloat).view({2, 2, 3, 4}) * sign / 8 + offset).to(dtype);
}

model_identity fixture_model() {
  return {"00112233445566778899aabbccddeeff",
          "none",
          "none",
          "ffeeddccbbaa99887766554433221100",
          {{"architecture", "LlamaForCausalLM"}, {"rms_norm_eps", "1e-06"}},
          {{"rope_type", "yarn"}, {"factor", "2"}}};
}

/// What fixture_cache.py describes.
cache_frame fixture_frame() {
  rotary_specification yarn;
  yarn.rope_type = "yarn";
  yarn.inv_freq = {1.0F, 0.1F};
  yarn.attention_scaling = 1.0693147180559945;
  rotary_specification dynamic;
  dynamic.rope_type = "dynamic";
  dynamic.inv_freq = {1.0F, 0.0625F};
  dynamic.length = 4096;
  position_row short_text = position_row::consecutive(0, 2, slot_state::padding());
  short_text.append({0, 1, 1, slot_state::rotated()});
  std::vector<position_row> heads;
  for (const auto& [first, second, state] : {std::tuple{0, 1, slot_state::rotated()},
                                             {0, 5, slot_state::rotated()},
                                             {7, 8, slot_state::rotated()},
                                             {-3, 8, slot_state::unrotated()}}) {
    heads.push_back(position_row::listed({first}));
    heads.back().append({second, 1, 1, state});
    heads.back().append({9, 1, 1, slot_state::rotated(1)});
  }
  cache_frame frame(
      {std::make_shared<const layer_frame>(
           layer_frame{position_map(1, 2, 1, {position_row::consecutive(0, 3), short_text}), {yarn}}),
       std::make_shared<const layer_frame>(layer_frame{position_map(1, 2, 2, heads), {yarn, dynamic}, 2})});
  frame.set_token_ids({{5, 6, 7}, {-1, -1, 8}});
  frame.set_origin({std::make_shared<const model_identity>(fixture_model()), origin_basis::same_weights});
  frame.set_assumed();
  frame.add_edit({edit_kind::half, cache_half::values, {1}, {}, {{1, 2}}, "another text"});
  return frame;
}

cache fixture_cache() {
  return cache({eighths(1, 0, at::kFloat), eighths(1, 1, at::kBFloat16)},
               {eighths(-1, 0, at::kFloat), eighths(-1, 1, at::kBFloat16).slice(3, 0, 2)}, fixture_frame(), as_written);
}

}  // namespace

TEST_CASE("a cache file written by Python's safetensors is read, frame, checksums and all", "[cache][file]") {
  const cache_file file = cache_file::open(fixtures_folder / "written_by_python.safetensors");
  CHECK(file.frame() == fixture_frame());
  CHECK(file.frame().layer(1).specifications[1].length == 4096);
  CHECK(file.frame().layer(1).roundings == 2);
  CHECK(same_cache(file.load(fixture_model()).view(), fixture_cache().view()));
}

TEST_CASE("a file of format 1 opens with an origin that is unknown, by name", "[cache][file]") {
  const cache_file file = cache_file::open(fixtures_folder / "format_1.safetensors");
  CHECK_THAT(
      message_of<frame_error>([&] { file.load(fixture_model()); }),
      contains("model: expected a cache of 00112233445566778899aabbccddeeff (or say assume_unknown_origin), got one "
               "of unknown origin"));
  CHECK_THROWS_AS(file.load(assume_same_weights(fixture_model())), frame_error);
  cache_frame expected = fixture_frame();
  expected.set_origin(assume_unknown_origin({}, fixture_model()));
  expected.set_edits({});
  const cache loaded = file.load(assume_unknown_origin(fixture_model()));
  CHECK(loaded.stored() == expected);
  CHECK(same_bits(loaded.view().layer(1).keys(), fixture_cache().view().layer(1).keys()));
  CHECK(file.has_checksums());
  CHECK_NOTHROW(file.verify());
}

TEST_CASE("a quantized file of format 1 opens likewise, its pending moves too", "[cache][file][quantized]") {
  const quantized_cache_file file = quantized_cache_file::open(fixtures_folder / "quantized_format_1.safetensors");
  CHECK_THROWS_AS(file.load(fixture_model()), frame_error);
  const quantized_cache loaded = file.load(assume_unknown_origin(fixture_model()));
  CHECK(loaded.stored().origin().basis() == origin_basis::unknown_origin);
  CHECK(loaded.target().origin() == loaded.stored().origin());
  CHECK_FALSE(loaded.materialized());
  quantized_cache expected = sample_quantized_cache();
  expected.shift(5);
  for (std::int64_t i = 0; i < expected.layers(); ++i) {
    CHECK(loaded.target().layer(i) == expected.target().layer(i));
    CHECK(same_codes(loaded.stored_keys(i), expected.stored_keys(i)));
    CHECK(same_codes(loaded.values(i), expected.values(i)));
  }
}

TEST_CASE("a saved cache is byte for byte the committed file that Python reads", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  save_cache(path, fixture_cache());
  CHECK(read_text(path) == read_text(fixtures_folder / "written_by_kvtransfer.safetensors"));
}
