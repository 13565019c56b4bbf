// A writer that is killed leaves the old file or the new one, whole, whenever it happens.

#include <ATen/ops/full.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <random>
#include <thread>
#include <vector>

#include "cache/file/sample_cache.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/cache_file_writer.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

constexpr std::int64_t version_layers = 4;

/// Writes a file of 256 KiB whose every element, and first position, is `version`; token range by token range, so that
/// there are many moments to be killed at.
void write_version(const std::filesystem::path& path, std::int64_t version) {
  constexpr std::int64_t seq = 64;
  const cache_frame frame(version_layers, {position_map::consecutive(version, seq), {rotary_specification{}}});
  cache_file_writer writer(path, frame, std::vector<cached_layer>(version_layers, {.kv_heads = 4, .head_dim = 32}));
  const at::Tensor piece = at::full({1, 4, seq / 4, 32}, version, at::kFloat);
  for (std::int64_t begin = 0; begin < seq; begin += piece.size(2)) {
    for (std::int64_t i = 0; i < version_layers; ++i) {
      writer.write(i, begin, piece, piece);
    }
  }
  writer.finish();
}

/// The version that a file holds, -1 if it holds two or is damaged.
std::int64_t version_of(const std::filesystem::path& path) {
  const cache_file file = cache_file::open(path);
  file.verify();
  const std::int64_t version = file.frame().layer(0).positions.row(0, 0, 0).positions().front();
  for (std::int64_t i = 0; i < version_layers; ++i) {
    const layer_view<> layer = file.layer(i);
    if (!layer.keys().eq(version).all().item<bool>() || !layer.values().eq(version).all().item<bool>()) {
      return -1;
    }
  }
  return version;
}

}  // namespace

TEST_CASE("a writer killed at any moment leaves a whole file", "[cache][file]") {
  const temporary_folder folder;
  const auto path = folder.path() / "a";
  std::mt19937 random(2);
  std::int64_t version = 1;
  const auto start = std::chrono::steady_clock::now();
  write_version(path, version);
  const auto one_write =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
  for (int trial = 0; trial < 100; ++trial) {
    const ::pid_t child = ::fork();
    if (child == 0) {
      for (std::int64_t next = version + 1;; ++next) {
        write_version(path, next);
      }
    }
    std::this_thread::sleep_for(one_write * (random() % 2000) / 1000);
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    const std::int64_t found = version_of(path);
    REQUIRE(found >= version);
    version = found;
  }
  CHECK(version > 1);
}
