#pragma once

#include <sys/resource.h>

#include <csignal>
#include <cstdint>

namespace kvtransfer::test {

/// While it lives, a file of this process can't grow past so many bytes: what a full disk does, on any file system.
class file_size_limit {
 public:
  explicit file_size_limit(std::uint64_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const struct ::rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  file_size_limit(const file_size_limit&) = delete;
  file_size_limit& operator=(const file_size_limit&) = delete;
  ~file_size_limit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  struct ::rlimit old_{};
  void (*handler_)(int);
};

}  // namespace kvtransfer::test
