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

#include "cache/file/sample_cache.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/core/json_file.hpp"
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

/// What fixture_cache.py describes.
cache_frame fixture_frame() {
  rotary_specification yarn;
  yarn.rope_type = "yarn";
  yarn.inv_freq = {1.0F, 0.1F};
  yarn.attention_scaling = 1.0693147180559945;
  rotary_specification dynamic;
  dynamic.rope_type = "dynamic";
  dynamic.inv_freq = {1.0F, 0.0625F};
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
  cache_frame frame({std::make_shared<const layer_frame>(
                         layer_frame{position_map(1, 2, 1, {position_row::consecutive(0, 3), short_text}), {yarn}}),
                     std::make_shared<const layer_frame>(layer_frame{position_map(1, 2, 2, heads), {yarn, dynamic}})});
  frame.set_token_ids({{5, 6, 7}, {-1, -1, 8}});
  frame.set_model("LlamaForCausalLM-2x16-00000000c0ffee00");
  frame.set_assumed();
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
  CHECK(same_cache(file.load("LlamaForCausalLM-2x16-00000000c0ffee00").view(), fixture_cache().view()));
}

TEST_CASE("a saved cache is byte for byte the committed file that Python reads", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  save_cache(path, fixture_cache());
  CHECK(read_text(path) == read_text(fixtures_folder / "written_by_kvtransfer.safetensors"));
}
