#include "kvtransfer/tensor/safetensors_writer.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/zeros.h>

#include <iterator>
#include <string>

#include "kvtransfer/tensor/safetensors.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::temporary_folder;

TEST_CASE("every type and shape comes back bit for bit", "[tensor][safetensors_writer]") {
  const temporary_folder folder;
  const auto path = folder.path() / "all.safetensors";
  std::map<std::string, at::Tensor> tensors;
  for (const auto& known : safetensors_dtypes) {
    const at::ScalarType type = scalar_type_of(known.dtype);
    tensors[std::string(known.name)] = at::arange(15, at::kFloat).view({3, 5}).to(type);
    tensors["empty " + std::string(known.name)] = at::zeros({0, 3}, at::kFloat).to(type);
  }
  tensors["scalar"] = at::ones({}, at::kDouble);
  tensors["transposed"] = at::rand({4, 6}).t();
  write_safetensors(path, tensors, {{"format", "pt"}});

  const safetensors_file file = safetensors_file::open(path);
  CHECK(file.header().metadata.at("format") == "pt");
  CHECK(file.names().size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    CAPTURE(name);
    const at::Tensor read = file.tensor(name);
    REQUIRE(read.scalar_type() == tensor.scalar_type());
    REQUIRE(read.sizes() == tensor.sizes());
    CHECK(at::equal(read.contiguous().view({-1}).view(at::kByte), tensor.contiguous().view({-1}).view(at::kByte)));
    CHECK(read.storage().data_ptr().get_deleter() != nullptr);
  }
}

TEST_CASE("a tensor may be written in pieces, among others", "[tensor][safetensors_writer]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a.safetensors";
  const at::Tensor whole = at::rand({7, 3});
  safetensors_writer writer(path, {{"small", at::kByte, {1}}, {"large", at::kFloat, {7, 3}}});
  writer.write("large", whole.narrow(0, 0, 2));
  writer.write("small", at::ones({1}, at::kByte));
  writer.write("large", whole.narrow(0, 2, 5));
  writer.commit();
  CHECK(at::equal(safetensors_file::open(path).tensor("large"), whole));
}

TEST_CASE("nothing stands under the name before the commit", "[tensor][safetensors_writer]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a.safetensors";
  {
    safetensors_writer writer(path, {{"a", at::kFloat, {2}}});
    writer.write("a", at::ones({2}));
    CHECK_FALSE(std::filesystem::exists(path));
  }
  CHECK(std::filesystem::directory_iterator(folder.path()) == std::filesystem::directory_iterator());
}

TEST_CASE("what was not declared is refused, and a commit with tensors missing", "[tensor][safetensors_writer]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a.safetensors";
  safetensors_writer writer(path, {{"a", at::kFloat, {2}}});
  CHECK_THROWS_AS(writer.write("b", at::ones({2})), value_error);
  CHECK_THROWS_AS(writer.write("a", at::ones({2}, at::kDouble)), value_error);
  CHECK_THROWS_AS(writer.write("a", at::ones({3})), shape_error);
  writer.write("a", at::ones({1}));
  CHECK_THROWS_AS(writer.commit(), value_error);
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("declarations that make no file are refused", "[tensor][safetensors_writer]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a.safetensors";
  using declared = std::vector<safetensors_declaration>;
  const auto refuse = [&](const declared& tensors) { CHECK_THROWS_AS(safetensors_writer(path, tensors), value_error); };
  refuse({{"a", at::kFloat, {2}}, {"a", at::kFloat, {2}}});
  refuse({{"__metadata__", at::kFloat, {2}}});
  refuse({{"a", at::kComplexDouble, {2}}});
  refuse({{"a", at::kFloat, {-1}}});
  refuse({{"a", at::kFloat, {1LL << 62, 1LL << 62}}});
  CHECK_THROWS_AS(safetensors_writer("/nowhere/a.safetensors", declared{}), file_error);
}
