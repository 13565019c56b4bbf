#include "experiment/line_file.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "kvtransfer/core/json_file.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

namespace {

int syncs = 0;

}  // namespace

/// Stands in front of the C library's, and counts.
extern "C" int fdatasync(int descriptor) {
  ++syncs;
  return static_cast<int>(::syscall(SYS_fdatasync, descriptor));
}

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a file of lines is synced once a second at most, when asked to, and at its end", "[experiment][journal]") {
  const temporary_folder folder;
  const auto path = folder.path() / "lines";
  syncs = 0;
  {
    detail::line_file file(path);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 300; ++i) {
      file.append("a line\n");
    }
    CHECK(read_text(path).size() == 300 * 7);
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begin).count();
    CHECK(syncs <= seconds);
    std::this_thread::sleep_for(std::chrono::milliseconds(1010));
    syncs = 0;
    file.append("a second later\n");
    CHECK(syncs == 1);
    file.append("at once\n");
    CHECK(syncs == 1);
    file.sync();
    CHECK(syncs == 2);
    file.sync();  // nothing new
    CHECK(syncs == 2);
    file.append("at last\n");
    CHECK(syncs == 2);
  }
  CHECK(syncs == 3);
}
