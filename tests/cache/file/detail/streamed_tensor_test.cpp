#include "kvtransfer/cache/file/detail/streamed_tensor.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>

#include "kvtransfer/cache/file/detail/checksums.hpp"
#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("tokens land in every row of the tensor, from any strides", "[cache][file]") {
  const temporary_folder folder;
  const at::Tensor whole = at::arange(2 * 3 * 5 * 4, at::kFloat).view({2, 3, 5, 4});
  const at::Tensor strided = whole.permute({3, 2, 1, 0}).contiguous().permute({3, 2, 1, 0});
  const std::string room(24, '-');
  atomic_file file(folder.path() / "a");
  streamed_tensor tensor("t", {safetensors_dtype::f32, {2, 3, 5, 4}, 8, 8 + 480}, 16, file_checksums::crc32);
  file.write_at(0, std::as_bytes(std::span(room)));
  tensor.write(file, 3, strided.slice(2, 3, 5));
  tensor.write(file, 0, strided.slice(2, 0, 3));
  tensor.require_complete("W");
  file.commit();
  const std::string written = read_text(folder.path() / "a");
  REQUIRE(written.size() == 24 + whole.nbytes());
  CHECK(std::memcmp(written.data() + 24, whole.const_data_ptr(), whole.nbytes()) == 0);
  CHECK(tensor.checksum() == crc32_of(std::as_bytes(std::span(written).subspan(24))));
}

TEST_CASE("a piece has the declared shape and type, but for its tokens", "[cache][file]") {
  const streamed_tensor tensor("t", {safetensors_dtype::f16, {1, 2, 5, 4}, 0, 80}, 0, file_checksums::none);
  CHECK_NOTHROW(tensor.require_expected(2, at::zeros({1, 2, 3, 4}, at::kHalf), "W"));
  CHECK_THROWS_AS(tensor.require_expected(3, at::zeros({1, 2, 3, 4}, at::kHalf), "W"), value_error);
  CHECK_THROWS_AS(tensor.require_expected(0, at::zeros({1, 2, 3, 4}), "W"), shape_error);
  CHECK_THROWS_AS(tensor.require_expected(0, at::zeros({1, 2, 3, 5}, at::kHalf), "W"), shape_error);
  CHECK_THROWS_AS(tensor.require_expected(0, at::zeros({2, 3, 4}, at::kHalf), "W"), shape_error);
  CHECK(message_of<value_error>([&] { tensor.require_complete("W"); }) ==
        "W: t: expected all 5 tokens written, got none");
}
