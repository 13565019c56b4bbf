#include "kvtransfer/cache/file/cache_file.hpp"

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>

#include "cache/file/edited_file.hpp"
#include "cache/file/sample_cache.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// A folder with the sample cache in a file.
struct saved_sample {
  temporary_folder folder;
  std::filesystem::path path = folder.path() / "sample.safetensors";
  cache kv = sample_cache();

  explicit saved_sample(file_checksums checksums = file_checksums::crc32) { save_cache(path, kv, checksums); }

  /// Rotates one bit of the file's last byte, which is a value of the last layer that has any.
  void damage_last_value() const {
    std::string bytes = read_text(path);
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    folder.put(path.filename().string(), bytes);
  }
};

}  // namespace

TEST_CASE("a layer of a file is the layer that was saved, tokens cut out as from the cache", "[cache][file]") {
  const saved_sample saved;
  const cache_file file = cache_file::open(saved.path);
  CHECK(file.layers() == 6);
  const cache_view<> view = saved.kv.view();
  for (std::int64_t i = 0; i < file.layers(); ++i) {
    const layer_view<> layer = file.layer(i);
    CHECK(layer.frame() == view.layer(i).frame());
    CHECK(same_bits(layer.keys(), view.layer(i).keys()));
    CHECK(same_bits(layer.values(), view.layer(i).values()));
  }
  const layer_view<> part = file.layer(2, 1, 5);
  CHECK(part.frame() == view.frame().layer(2).slice(1, 5));
  CHECK(same_bits(part.keys(), view.layer(2).keys().slice(2, 1, 5)));
  CHECK(same_bits(part.values(), view.layer(2).values().slice(2, 1, 5)));
  CHECK(file.layer(2, 3, 3).size() == 0);
}

TEST_CASE("layers and tokens that are not there are refused", "[cache][file]") {
  const saved_sample saved;
  const cache_file file = cache_file::open(saved.path);
  CHECK_THROWS_AS(file.layer(6), shape_error);
  CHECK_THROWS_AS(file.layer(-1), shape_error);
  CHECK_THROWS_AS(file.layer(0, 2, 6), shape_error);
  CHECK_THROWS_AS(file.layer(0, 3, 2), shape_error);
}

TEST_CASE("views share the mapping, outlive the file object and never write to the file", "[cache][file]") {
  const saved_sample saved;
  const auto opened = [&] {
    const cache_file file = cache_file::open(saved.path);
    CHECK(file.layer(0).keys().const_data_ptr() == file.view(any_model).layer(0).keys().const_data_ptr());
    return file.layer(0);
  };
  const layer_view<> layer = opened();
  CHECK(same_bits(layer.keys(), saved.kv.view().layer(0).keys()));
  layer.keys().fill_(7);
  CHECK(same_bits(cache_file::open(saved.path).layer(0).keys(), saved.kv.view().layer(0).keys()));
}

TEST_CASE("another model's cache is refused unless it is asked for", "[cache][file]") {
  const saved_sample saved;
  const cache_file file = cache_file::open(saved.path);
  const model_identity model = saved.kv.view().frame().model();
  CHECK_THAT(message_of<frame_error>([&] { file.load(model_identity{"another"}); }),
             contains(saved.path.string() + ": model: expected digest another ("));
  CHECK_THROWS_AS(file.view(model_identity{"another"}), frame_error);
  CHECK_THROWS_AS(file.load(model_identity()), frame_error);
  CHECK(same_cache(file.load(model).view(), file.load(any_model).view()));
}

TEST_CASE("a cache of unknown origin is a model's only where somebody says so", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  save_cache(path, sample_cache(cache_frame(1, unequal_rows())));
  const cache_file file = cache_file::open(path);
  const model_identity mine{"mine"};
  CHECK_THAT(message_of<frame_error>([&] { file.load(mine); }), contains("got one of unknown origin"));
  CHECK_FALSE(file.load(any_model).stored().origin().is_known());
  CHECK(file.view(assume_unknown_origin(mine)).frame().model() == mine);
  CHECK(file.load(assume_unknown_origin(mine)).stored().origin().basis() == origin_basis::unknown_origin);
}

TEST_CASE("a loaded cache may have room to grow", "[cache][file]") {
  const saved_sample saved;
  const cache roomy = cache_file::open(saved.path).load(any_model, {.capacity = 6});
  CHECK(roomy.capacity(0) == 6);
  CHECK(roomy.capacity(2) == 7);
  CHECK(same_cache(roomy.view(), saved.kv.view()));
}

TEST_CASE("damage to keys or values is found on loading", "[cache][file]") {
  const saved_sample saved;
  CHECK_NOTHROW(cache_file::open(saved.path).verify());
  saved.damage_last_value();
  const cache_file file = cache_file::open(saved.path);
  CHECK_THAT(message_of<file_error>([&] { file.load(any_model); }),
             contains(": checksum of layers.4.value: expected "));
  CHECK_THROWS_AS(file.verify(), file_error);
  CHECK_NOTHROW(file.view(any_model));
}

TEST_CASE("without checksums there is nothing to verify", "[cache][file]") {
  const saved_sample saved(file_checksums::none);
  saved.damage_last_value();
  const cache_file file = cache_file::open(saved.path);
  CHECK_NOTHROW(file.load(any_model));
  CHECK_THAT(message_of<value_error>([&] { file.verify(); }),
             contains("expected a file with checksums, got one without"));
}

TEST_CASE("tensors off their alignment, as another writer may put them, are copied", "[cache][file]") {
  const edited_file file = edited_file::of(cache_frame(1, unequal_rows()));
  const std::string even = file.bytes();
  const temporary_folder folder;
  for (std::size_t spaces = 0; spaces < 4; ++spaces) {
    std::string bytes = even;
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    bytes.insert(sizeof length + length, std::string(spaces, ' '));
    length += spaces;
    std::memcpy(bytes.data(), &length, sizeof length);
    const cache_file opened = cache_file::open(folder.put("odd", bytes));
    CHECK(same_cache(opened.view(any_model), sample_cache(cache_frame(1, unequal_rows())).view()));
  }
}

TEST_CASE("a file cut short anywhere is refused", "[cache][file]") {
  const saved_sample saved;
  const std::string bytes = read_text(saved.path);
  for (std::size_t size = 0; size < bytes.size(); size += 97) {
    const auto cut = saved.folder.put("cut", bytes.substr(0, size));
    CHECK_THROWS_AS(cache_file::open(cut), file_error);
  }
}

TEST_CASE("a model's weights are no cache", "[cache][file]") {
  CHECK_THAT(
      message_of<file_error>([] { cache_file::open(KVT_SOURCE_DIR "/examples/models/lab-llama/model.safetensors"); }),
      contains("model.safetensors: metadata: expected an entry kvtransfer.frame, as a cache file has it, got a "));
}

TEST_CASE("a cache is loaded onto a GPU", "[cache][file][cuda]") {
  if (!cuda_available()) {
    return;
  }
  const saved_sample saved;
  const cache loaded = cache_file::open(saved.path).load(any_model, {.device = at::kCUDA});
  CHECK(loaded.view().layer(0).keys().is_cuda());
  const auto back = saved.folder.path() / "back.safetensors";
  save_cache(back, loaded);
  CHECK(read_text(back) == read_text(saved.path));
}
