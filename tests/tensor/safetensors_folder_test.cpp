#include "kvtransfer/tensor/safetensors_folder.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>

#include <string>

#include "kvtransfer/tensor/safetensors_writer.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using kvtransfer::test::message_of;
using kvtransfer::test::temporary_folder;

namespace {

constexpr std::string_view index_name = "model.safetensors.index.json";

std::string complaint_about_folder(const std::filesystem::path& path) {
  return message_of<file_error>([&] { safetensors_folder::open(path); });
}

}  // namespace

TEST_CASE("shards are read as one", "[tensor][safetensors_folder]") {
  const temporary_folder folder;
  write_safetensors(folder.path() / "m-1.safetensors", {{"a", at::arange(3)}});
  write_safetensors(folder.path() / "m-2.safetensors", {{"b", at::arange(4)}, {"c", at::arange(5)}});
  folder.put(index_name, R"({"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-2.safetensors"}})");
  const safetensors_folder files = safetensors_folder::open(folder.path());
  CHECK(files.names() == std::vector<std::string>{"a", "b", "c"});
  CHECK(at::equal(files.tensor("b"), at::arange(4)));
  CHECK(files.file_of("c").path() == folder.path() / "m-2.safetensors");
  CHECK_THROWS_AS(files.tensor("d"), file_error);
}

TEST_CASE("a single file goes before an index", "[tensor][safetensors_folder]") {
  const temporary_folder folder;
  write_safetensors(folder.path() / "model.safetensors", {{"a", at::arange(3)}});
  folder.put(index_name, R"({"weight_map":{"b":"m-1.safetensors"}})");
  CHECK(safetensors_folder::open(folder.path()).names() == std::vector<std::string>{"a"});
}

TEST_CASE("a shard may be a link, as in the cache of the Hugging Face hub", "[tensor][safetensors_folder]") {
  const temporary_folder blobs;
  const temporary_folder folder;
  write_safetensors(blobs.path() / "blob", {{"a", at::arange(3)}});
  std::filesystem::create_symlink(blobs.path() / "blob", folder.path() / "m-1.safetensors");
  folder.put(index_name, R"({"weight_map":{"a":"m-1.safetensors"}})");
  CHECK(at::equal(safetensors_folder::open(folder.path()).tensor("a"), at::arange(3)));
}

TEST_CASE("a folder without weights is refused by name", "[tensor][safetensors_folder]") {
  const temporary_folder folder;
  CHECK(complaint_about_folder("/nowhere") == "/nowhere: folder: expected an existing folder, got none");
  CHECK(complaint_about_folder(folder.path()) ==
        folder.path().string() + ": weights: expected model.safetensors or model.safetensors.index.json, got neither");
}

TEST_CASE("an index and its shards must agree", "[tensor][safetensors_folder]") {
  const temporary_folder folder;
  folder.put(index_name, R"({"weight_map":{"a":"m-1.safetensors"}})");
  CHECK_THAT(complaint_about_folder(folder.path()), test::contains("m-1.safetensors: file: expected a readable file"));
  write_safetensors(folder.path() / "m-1.safetensors", {{"b", at::arange(3)}});
  CHECK_THAT(
      complaint_about_folder(folder.path()),
      test::contains(R"(index.json: weight_map: "a": expected a shard that holds the tensor, got "m-1.safetensors")"));
}

TEST_CASE("an index that names itself as a shard is refused", "[tensor][safetensors_folder]") {
  const temporary_folder folder;
  folder.put(index_name, R"({"weight_map":{"a":"model.safetensors.index.json"}})");
  CHECK_THAT(complaint_about_folder(folder.path()), test::contains("header length"));
}
