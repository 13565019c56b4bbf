#include "kvtransfer/tensor/safetensors.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "kvtransfer/tensor/safetensors_folder.hpp"
#include "kvtransfer/tensor/safetensors_writer.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::message_of;
using kvtransfer::test::temporary_folder;

TEST_CASE("tensors of one file share its mapping and outlive the reader and the file's name", "[tensor][safetensors]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a.safetensors";
  write_safetensors(path, {{"x", at::arange(6, at::kFloat).view({2, 3})}, {"y", at::arange(4, at::kLong)}});
  at::Tensor x;
  at::Tensor y;
  {
    const safetensors_file file = safetensors_file::open(path);
    CHECK(file.names() == std::vector<std::string>{"x", "y"});
    x = file.tensor("x");
    y = file.tensor("y");
    CHECK(file.tensor("x").const_data_ptr() == x.const_data_ptr());
  }
  std::filesystem::remove(path);
  CHECK(at::equal(x, at::arange(6, at::kFloat).view({2, 3})));
  CHECK(at::equal(y, at::arange(4, at::kLong)));
}

TEST_CASE("writing to a tensor of a file leaves the file as it is", "[tensor][safetensors]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a.safetensors";
  write_safetensors(path, {{"x", at::arange(6, at::kFloat)}});
  safetensors_file::open(path).tensor("x").zero_();
  CHECK(at::equal(safetensors_file::open(path).tensor("x"), at::arange(6, at::kFloat)));
}

TEST_CASE("a tensor that the file puts off its alignment is copied", "[tensor][safetensors]") {
  const temporary_folder folder;
  const std::string json = R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} )";
  REQUIRE(json.size() % 4 != 0);
  const float values[] = {1.5f, -2.0f};
  std::string content(8, '\0');
  content[0] = static_cast<char>(json.size());
  content.append(json).append(reinterpret_cast<const char*>(values), sizeof values);
  const at::Tensor x = safetensors_file::open(folder.put("odd.safetensors", content)).tensor("x");
  CHECK(reinterpret_cast<std::uintptr_t>(x.const_data_ptr()) % 4 == 0);
  CHECK(at::equal(x, at::tensor({1.5f, -2.0f})));
}

TEST_CASE("a tensor that is not there is refused by the file's name", "[tensor][safetensors]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a.safetensors";
  write_safetensors(path, {{"x", at::arange(6)}});
  const safetensors_file file = safetensors_file::open(path);
  CHECK_FALSE(file.contains("z"));
  CHECK(message_of<file_error>([&] { file.tensor("z"); }) ==
        path.string() + R"(: tensor: expected "z", got 1 other tensors)");
}

TEST_CASE("a file that is missing or malformed is refused by name", "[tensor][safetensors]") {
  const temporary_folder folder;
  CHECK_THROWS_AS(safetensors_file::open(folder.path() / "missing.safetensors"), file_error);
  const auto bad = folder.put("bad.safetensors", "not a safetensors file");
  CHECK_THAT(message_of<file_error>([&] { safetensors_file::open(bad); }),
             test::StartsWith(bad.string() + ": header length:"));
}

TEST_CASE("a Git LFS pointer in the place of a safetensors file is called that", "[tensor][safetensors]") {
  const temporary_folder folder;
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 99\n";
  const auto file = folder.put("model.safetensors", pointer);
  CHECK(message_of<file_error>([&] { safetensors_file::open(file); }) ==
        file.string() +
            ": content: expected the file itself, got a Git LFS pointer, the file itself was not downloaded (git lfs "
            "pull)");
  const auto index = folder.put("model.safetensors.index.json", pointer);
  std::filesystem::remove(file);
  CHECK_THAT(message_of<file_error>([&] { safetensors_folder::open(folder.path()); }),
             test::StartsWith(index.string() + ": content: expected the file itself, got a Git LFS pointer"));
}
