#include "experiment/line_file.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "kvtransfer/core/write_failure.hpp"

namespace kvtransfer::detail {

namespace {

constexpr std::chrono::seconds between_syncs{1};

}  // namespace

line_file::line_file(std::filesystem::path path) : path_(std::move(path)), file_(path_) {}

line_file::~line_file() {
  if (!is_synced_) {
    static_cast<void>(::fdatasync(file_.descriptor()));  // whoever has to know whether it worked calls sync()
  }
}

void line_file::cut_to(std::size_t bytes) {
  if (::ftruncate(file_.descriptor(), static_cast<::off_t>(bytes)) != 0) {
    fail_to_write(path_, "journal", "a file that can be written", errno);
  }
  is_synced_ = false;
}

void line_file::append(std::string_view lines) {
  const ::off_t end = ::lseek(file_.descriptor(), 0, SEEK_END);
  is_synced_ = false;
  for (std::size_t done = 0; done < lines.size();) {
    const ::ssize_t written = ::write(file_.descriptor(), lines.data() + done, lines.size() - done);
    if (written < 0 && errno != EINTR) {
      const int reason = errno;
      // Whoever goes on after the error writes behind whole lines; where this fails too, reading drops a line cut
      // short.
      static_cast<void>(::ftruncate(file_.descriptor(), end) == 0);
      fail_to_write(path_, "journal", "room for the data", reason);
    }
    done += written > 0 ? static_cast<std::size_t>(written) : 0;
  }
  if (clock::now() - synced_at_ >= between_syncs) {
    sync();
  }
}

void line_file::sync() {
  if (!is_synced_ && ::fdatasync(file_.descriptor()) != 0 && errno != EINVAL) {
    fail_to_write(path_, "journal", "data that reaches the disk", errno);
  }
  is_synced_ = true;
  synced_at_ = clock::now();
}

}  // namespace kvtransfer::detail
