#include "kvtransfer/cache/file/cache_file_writer.hpp"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "cache/file/sample_cache.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// As `sample_cache` has its layers.
std::vector<cached_layer> sample_layers(const cache_frame& frame) {
  const cached_layer layer{.kv_heads = sample_heads, .head_dim = sample_head_dim, .value_head_dim = sample_value_dim};
  return std::vector<cached_layer>(static_cast<std::size_t>(frame.layers()), layer);
}

/// A stretch of one layer's tokens.
struct token_range {
  std::int64_t layer, begin, end;
};

/// Every layer of a cache cut into ranges of one to three tokens.
std::vector<token_range> cut_up(const cache_view<>& view, std::mt19937& random) {
  std::vector<token_range> ranges;
  for (std::int64_t i = 0; i < view.layers(); ++i) {
    for (std::int64_t begin = 0; begin < view.layer(i).size();) {
      const std::int64_t end = std::min<std::int64_t>(view.layer(i).size(), begin + 1 + random() % 3);
      ranges.push_back({i, begin, end});
      begin = end;
    }
  }
  std::shuffle(ranges.begin(), ranges.end(), random);
  return ranges;
}

}  // namespace

TEST_CASE("token ranges written in any order make the file that saving at once makes", "[cache][file]") {
  const temporary_folder folder;
  const cache kv = sample_cache();
  const cache_view<> view = kv.view();
  std::mt19937 random(3);
  for (const file_checksums checksums : {file_checksums::crc32, file_checksums::none}) {
    save_cache(folder.path() / "whole", kv, checksums);
    cache_file_writer writer(folder.path() / "pieces", view.frame(), sample_layers(view.frame()), as_written,
                             checksums);
    for (const auto& [layer, begin, end] : cut_up(view, random)) {
      writer.write(layer, begin, view.layer(layer).keys().slice(2, begin, end),
                   view.layer(layer).values().slice(2, begin, end));
    }
    writer.finish();
    CHECK(read_text(folder.path() / "pieces") == read_text(folder.path() / "whole"));
  }
}

TEST_CASE("before it is finished there is no file, and without finishing nothing is left", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  const cache kv = sample_cache(cache_frame(1, unequal_rows()));
  {
    cache_file_writer writer(path, kv.view().frame(), sample_layers(kv.view().frame()));
    writer.write(0, kv.view().layer(0).keys(), kv.view().layer(0).values());
    CHECK_FALSE(std::filesystem::exists(path));
  }
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("tensors that a caller brings are of unknown origin in a file too, whatever their frame says",
          "[cache][file]") {
  const temporary_folder folder;
  cache_frame frame(1, unequal_rows(5));
  frame.set_origin(model_identity{"model a"});
  const cache kv = sample_cache(frame);
  const layer_view<> layer = kv.view().layer(0);
  const auto written = [&](auto... said) {
    cache_file_writer writer(folder.path() / "a", frame, sample_layers(frame), said...);
    writer.write(0, layer.keys(), layer.values());
    writer.finish();
    return cache_file::open(folder.path() / "a");
  };
  CHECK_FALSE(written().frame().origin().is_known());
  CHECK_THROWS_AS(written().load(model_identity{"model a"}), frame_error);
  CHECK(written(as_written).load(model_identity{"model a"}).target().model().digest == "model a");
}

TEST_CASE("what was not declared is not written", "[cache][file]") {
  const temporary_folder folder;
  const cache_frame frame(1, unequal_rows(5));
  cache_file_writer writer(folder.path() / "a", frame, sample_layers(frame));
  const at::Tensor keys = at::zeros({2, 2, 3, sample_head_dim});
  const at::Tensor values = at::zeros({2, 2, 3, sample_value_dim});
  CHECK_THROWS_AS(writer.write(1, 0, keys, values), value_error);
  CHECK_THROWS_AS(writer.write(-1, 0, keys, values), value_error);
  CHECK_THROWS_AS(writer.write(0, 3, keys, values), value_error);
  CHECK_THROWS_AS(writer.write(0, 0, keys.slice(2, 0, 2), values), shape_error);
  CHECK_THROWS_AS(writer.write(0, 0, keys, keys), shape_error);
  CHECK_THROWS_AS(writer.write(0, 0, keys.slice(0, 0, 1), values.slice(0, 0, 1)), shape_error);
  CHECK(message_of<shape_error>([&] { writer.write(0, 0, keys.to(at::kHalf), values); }) ==
        "cache_file_writer::write: layers.0.key: expected [2, 2, any number of tokens, 8] Float, got [2, 2, 3, 8] Half "
        "on "
        "cpu");
  writer.write(0, 0, keys, values);
  CHECK_THROWS_AS(writer.write(0, 2, keys, values), value_error);
}

TEST_CASE("a file is finished once, and only with all its tokens", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  const cache kv = sample_cache(cache_frame(2, unequal_rows(5)));
  const layer_view<> layer = kv.view().layer(0);
  cache_file_writer writer(path, kv.view().frame(), sample_layers(kv.view().frame()));
  writer.write(0, layer.keys(), layer.values());
  writer.write(1, 3, layer.keys().slice(2, 3), layer.values().slice(2, 3));
  CHECK(message_of<value_error>([&] { writer.finish(); }) ==
        "cache_file_writer::finish: layers.1.key: expected all 5 tokens written, got [3, 5)");
  CHECK_FALSE(std::filesystem::exists(path));
  writer.write(1, 0, layer.keys().slice(2, 0, 3), layer.values().slice(2, 0, 3));
  writer.finish();
  CHECK(cache_file::open(path).layers() == 2);
  CHECK_THROWS_AS(writer.finish(), value_error);
  CHECK_THROWS_AS(writer.write(0, layer.keys(), layer.values()), value_error);
}

TEST_CASE("a cache that cannot be written leaves the file of before", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.put("a", "old");
  const cache_frame frame(1, unequal_rows(5));
  CHECK_THROWS_AS(cache_file_writer(path, frame, {}), shape_error);
  CHECK_THROWS_AS(cache_file_writer(path, frame, {{.kv_heads = 2, .head_dim = 4}}), frame_error);
  CHECK_THROWS_AS(cache_file_writer("/nowhere/a", frame, sample_layers(frame)), file_error);
  CHECK(read_text(path) == "old");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), std::filesystem::directory_iterator()) == 1);
}
