// Files are written and read without their being in memory. bench/cache/file_bench.cpp measures the same at any size.

#include <ATen/ops/full.h>
#include <ATen/ops/sum.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "cache/file/resident_memory.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/cache_file_writer.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

constexpr std::int64_t large_layers = 8;
constexpr std::int64_t large_heads = 8;
constexpr std::int64_t large_head_dim = 64;
constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;

/// Writes a file 512 tokens at a time, 16 KiB each; every element of layer i is i + 1, negative in values.
void write_large(const std::filesystem::path& path, std::int64_t seq) {
  const cache_frame frame(large_layers, {position_map::consecutive(0, seq), {rotary_specification{}}});
  const cached_layer layer{.kv_heads = large_heads, .head_dim = large_head_dim, .dtype = at::kHalf};
  cache_file_writer writer(path, frame, std::vector<cached_layer>(large_layers, layer));
  constexpr std::int64_t step = 512;
  for (std::int64_t begin = seq - step; begin >= 0; begin -= step) {
    for (std::int64_t i = 0; i < large_layers; ++i) {
      const at::Tensor keys = at::full({1, large_heads, step, large_head_dim}, i + 1, at::kHalf);
      writer.write(i, begin, keys, -keys);
    }
  }
  writer.finish();
}

double sum_of(const at::Tensor& tensor) { return at::sum(tensor, at::kDouble).item<double>(); }

/// Where in a file a tensor begins, bytes.
std::int64_t start_of(const std::filesystem::path& path, const std::string& tensor) {
  const safetensors_file file = safetensors_file::open(path);
  return static_cast<std::int64_t>(file.header().data_begin + file.entry(tensor).begin);
}

/// Marks the pages that hold the tokens [begin, end) of a tensor.
void mark_tokens(std::vector<bool>& pages, const std::filesystem::path& path, const std::string& tensor,
                 std::int64_t begin, std::int64_t end) {
  const std::int64_t seq = cache_file::open(path).frame().layer(0).size();
  const std::int64_t page = ::sysconf(_SC_PAGESIZE);
  constexpr std::int64_t token_bytes = large_head_dim * 2;
  for (std::int64_t head = 0; head < large_heads; ++head) {
    const std::int64_t row = start_of(path, tensor) + head * seq * token_bytes;
    const std::int64_t last_byte = row + end * token_bytes - 1;
    std::fill(pages.begin() + (row + begin * token_bytes) / page, pages.begin() + last_byte / page + 1, true);
  }
}

/// Layer 0 left out: it lies behind the header, which is read as every file is, some megabytes ahead.
std::vector<bool> pages_behind_layer_0(const std::filesystem::path& path, const std::vector<bool>& pages) {
  return {pages.begin() + start_of(path, "layers.1.key") / ::sysconf(_SC_PAGESIZE), pages.end()};
}

}  // namespace

TEST_CASE("a cache is written and read by layer in a fraction of the memory that it takes", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "large";
  constexpr std::int64_t seq = 12288;
#ifdef __SANITIZE_ADDRESS__
  WARN("skipped: the address sanitizer keeps what is freed");
  return;
#endif
  const std::uint64_t before = anonymous_bytes();
  std::uint64_t most = 0;
  write_large(path, seq);
  most = std::max(most, anonymous_bytes());
  const cache_file file = cache_file::open(path);
  for (std::int64_t i = 0; i < large_layers; ++i) {
    const layer_view<> layer = file.layer(i);
    const double expected = static_cast<double>((i + 1) * large_heads * seq * large_head_dim);
    CHECK(sum_of(layer.keys()) == expected);
    CHECK(sum_of(layer.values()) == -expected);
    most = std::max(most, anonymous_bytes());
  }
  file.verify();
  most = std::max(most, anonymous_bytes());
  CHECK(std::filesystem::file_size(path) > 192 * mebibyte);
  CHECK(most < before + 32 * mebibyte);
}

TEST_CASE("reading one layer, or some tokens of it, reads its own pages from the disk and no others", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "large";
  constexpr std::int64_t seq = 6144;
  write_large(path, seq);
  for (const auto& [begin, end] : {std::pair<std::int64_t, std::int64_t>{0, seq}, {2500, 2600}}) {
    if (!forget_pages(path)) {
      WARN("skipped: the file system keeps " << path << " in memory");
      return;
    }
    const layer_view<> layer = cache_file::open(path).layer(3, begin, end);
    CHECK(sum_of(layer.keys()) == static_cast<double>(4 * large_heads * (end - begin) * large_head_dim));
    CHECK(sum_of(layer.values()) == -static_cast<double>(4 * large_heads * (end - begin) * large_head_dim));

    const std::vector<bool> resident = pages_behind_layer_0(path, resident_pages(path));
    std::vector<bool> expected(resident_pages(path).size());
    mark_tokens(expected, path, "layers.3.key", begin, end);
    mark_tokens(expected, path, "layers.3.value", begin, end);
    CHECK((resident == pages_behind_layer_0(path, expected)));
  }
}
