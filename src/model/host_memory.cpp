#include "model/host_memory.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#ifdef __GLIBC__  // defined by what a standard header includes
#include <malloc.h>
#endif

namespace kvtransfer::detail {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t unlimited = std::numeric_limits<std::int64_t>::max();

/// The number that a file consists of; nothing where there is no such file, or another word in it ("max").
std::optional<std::int64_t> number_in(const fs::path& file) {
  std::ifstream stream(file);
  std::int64_t number = 0;
  return stream >> number ? std::optional(number) : std::nullopt;
}

/// The number behind a name that begins a line. @return nothing where there is none
std::optional<std::int64_t> number_behind(const fs::path& file, std::string_view name) {
  std::ifstream lines(file);
  std::string found;
  std::string rest;
  for (std::int64_t number = 0; lines >> found >> number; std::getline(lines, rest)) {
    if (found == name) {
      return number;
    }
  }
  return std::nullopt;
}

std::int64_t available(const fs::path& root) {
  if (const auto kibibytes = number_behind(root / "proc/meminfo", "MemAvailable:")) {
    return *kibibytes * 1024;
  }
  struct ::sysinfo system{};
  return ::sysinfo(&system) == 0 ? static_cast<std::int64_t>(system.freeram) * system.mem_unit : 0;
}

/// How a version of control groups calls its files, and what in its statistics is pages of files that can be dropped.
struct control_files {
  const char* hierarchy;
  const char* limit;
  const char* usage;
  std::string_view droppable;
};

constexpr control_files version_2{"sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"};
constexpr control_files version_1{"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                  "total_inactive_file"};

/// What a group and those above it leave. A group that can't be seen from inside a container sets no limit here: the
/// one at the top that can be seen is the container's own.
std::int64_t left_by_groups(const fs::path& root, const control_files& files, std::string_view group) {
  std::int64_t left = unlimited;
  const fs::path top = root / files.hierarchy;
  for (fs::path below(group.substr(std::min(group.size(), group.find_first_not_of('/')))); true;
       below = below.parent_path()) {
    const fs::path folder = below.empty() ? top : top / below;
    const auto limit = number_in(folder / files.limit);
    const auto usage = number_in(folder / files.usage);
    if (limit && usage) {
      const std::int64_t dropped = number_behind(folder / "memory.stat", files.droppable).value_or(0);
      left = std::min(left, std::max<std::int64_t>(*limit - (*usage - dropped), 0));
    }
    if (below.empty()) {
      return left;
    }
  }
}

/// Lines are `number:controllers:group`; version 2 names no controllers.
std::int64_t left_by_all_groups(const fs::path& root) {
  std::int64_t left = unlimited;
  std::ifstream lines(root / "proc/self/cgroup");
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) {
      continue;
    }
    const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
    const std::string_view group = std::string_view(line).substr(second + 1);
    if (controllers.empty()) {
      left = std::min(left, left_by_groups(root, version_2, group));
    } else if (fmt::format(",{},", controllers).find(",memory,") != std::string::npos) {
      left = std::min(left, left_by_groups(root, version_1, group));
    }
  }
  return left;
}

std::int64_t left_of_address_space(const fs::path& root) {
  struct ::rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return unlimited;
  }
  const std::int64_t pages = number_in(root / "proc/self/statm").value_or(0);
  const std::int64_t most = static_cast<std::int64_t>(std::min<::rlim_t>(limit.rlim_cur, unlimited));
  return std::max<std::int64_t>(most - pages * ::sysconf(_SC_PAGESIZE), 0);
}

}  // namespace

void return_freed_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

std::int64_t free_on_host(const fs::path& root) {
  return std::min({available(root), left_by_all_groups(root), left_of_address_space(root)});
}

}  // namespace kvtransfer::detail
