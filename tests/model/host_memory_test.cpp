#include "model/host_memory.hpp"

#include <filesystem>
#include <string>

#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using kvtransfer::test::temporary_folder;

namespace {

/// A kernel's files, as a process in a control group sees them.
struct kernel_files {
  temporary_folder root;

  void put(const std::string& path, const std::string& content) const {
    std::filesystem::create_directories((root.path() / path).parent_path());
    root.put(path, content);
  }

  kernel_files() { put("proc/meminfo", "MemTotal: 8000 kB\nMemFree: 10 kB\nMemAvailable: 4000 kB\nBuffers: 1 kB\n"); }
};

constexpr std::int64_t available = 4000 * 1024;

}  // namespace

TEST_CASE("without limits memory is what the machine has available", "[model][host_memory]") {
  const kernel_files files;
  CHECK(free_on_host(files.root.path()) == available);
  files.put("proc/self/cgroup", "0::/\n");
  CHECK(free_on_host(files.root.path()) == available);
  CHECK(free_on_host() > 0);
}

TEST_CASE("the tightest control group counts, without what it can drop", "[model][host_memory]") {
  const kernel_files files;
  files.put("proc/self/cgroup", "0::/user/job/step\n");
  files.put("sys/fs/cgroup/user/job/step/memory.max", "max\n");
  files.put("sys/fs/cgroup/user/job/step/memory.current", "100\n");
  CHECK(free_on_host(files.root.path()) == available);
  files.put("sys/fs/cgroup/user/job/memory.max", "1000000\n");
  files.put("sys/fs/cgroup/user/job/memory.current", "600000\n");
  CHECK(free_on_host(files.root.path()) == 400'000);
  files.put("sys/fs/cgroup/user/job/memory.stat", "anon 400000\ninactive_file 150000\nactive_file 50000\n");
  CHECK(free_on_host(files.root.path()) == 550'000);
  files.put("sys/fs/cgroup/user/memory.max", "2000000\n");
  files.put("sys/fs/cgroup/user/memory.current", "1900000\n");
  CHECK(free_on_host(files.root.path()) == 100'000);
  files.put("sys/fs/cgroup/user/memory.current", "2100000\n");
  CHECK(free_on_host(files.root.path()) == 0);
}

TEST_CASE("a container's group is at the top of what it sees", "[model][host_memory]") {
  const kernel_files files;
  files.put("proc/self/cgroup", "0::/docker/of/another/name\n");
  files.put("sys/fs/cgroup/memory.max", "500000\n");
  files.put("sys/fs/cgroup/memory.current", "200000\n");
  CHECK(free_on_host(files.root.path()) == 300'000);
}

TEST_CASE("control groups of version 1 count too", "[model][host_memory]") {
  const kernel_files files;
  files.put("proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a\n1:name=systemd:/a\n");
  files.put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "700000\n");
  files.put("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "600000\n");
  files.put("sys/fs/cgroup/memory/a/memory.stat", "inactive_file 5\ntotal_inactive_file 20000\n");
  files.put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  files.put("sys/fs/cgroup/memory/memory.usage_in_bytes", "600000\n");
  CHECK(free_on_host(files.root.path()) == 120'000);
}
