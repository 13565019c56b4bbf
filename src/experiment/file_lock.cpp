#include "experiment/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/write_failure.hpp"

namespace kvtransfer::detail {

file_lock::file_lock(const std::filesystem::path& path)
    : descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) {
    fail_to_write(path, "journal", "a file that can be written", errno);
  }
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    ::close(descriptor_);
    fail<file_error>(path.string(), "journal", "one run at a time",
                     reason == EWOULDBLOCK ? "another run in progress" : std::generic_category().message(reason));
  }
}

file_lock::~file_lock() { ::close(descriptor_); }

}  // namespace kvtransfer::detail
