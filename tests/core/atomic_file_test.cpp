#include "kvtransfer/core/atomic_file.hpp"

#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <iterator>
#include <string>

#include "kvtransfer/core/json_file.hpp"
#include "support/file_size_limit.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::message_of;
using kvtransfer::test::temporary_folder;

namespace {

auto bytes_of_text(std::string_view text) { return std::as_bytes(std::span(text)); }

auto files_in(const temporary_folder& folder) {
  return std::distance(std::filesystem::directory_iterator(folder.path()), std::filesystem::directory_iterator());
}

}  // namespace

TEST_CASE("ranges written in any order make up the file", "[tensor][atomic_file]") {
  const temporary_folder folder;
  atomic_file file(folder.path() / "a");
  file.write_at(3, bytes_of_text("def"));
  file.write_at(0, bytes_of_text("abc"));
  file.commit();
  CHECK(read_text(folder.path() / "a") == "abcdef");
  CHECK(files_in(folder) == 1);
}

TEST_CASE("without a commit the old file stays and nothing else is left", "[tensor][atomic_file]") {
  const temporary_folder folder;
  folder.put("a", "old");
  {
    atomic_file file(folder.path() / "a");
    file.write_at(0, bytes_of_text("new"));
  }
  CHECK(read_text(folder.path() / "a") == "old");
  CHECK(files_in(folder) == 1);
}

TEST_CASE("a commit replaces the old file", "[tensor][atomic_file]") {
  const temporary_folder folder;
  write_text(folder.put("a", "old and longer"), "new");
  CHECK(read_text(folder.path() / "a") == "new");
}

TEST_CASE("a commit keeps the old file's mode, and that of a new file is the usual one", "[core][atomic_file]") {
  namespace fs = std::filesystem;
  const temporary_folder folder;
  const fs::path old = folder.put("a", "old");
  for (const auto mode : {fs::perms(0600), fs::perms(0751)}) {
    fs::permissions(old, mode);
    write_text(old, "new");
    CHECK(fs::status(old).permissions() == mode);
  }
  write_text(folder.path() / "b", "new");
  CHECK(fs::status(folder.path() / "b").permissions() == fs::status(folder.put("c", "")).permissions());
}

TEST_CASE("a commit goes through symbolic links, to a file that is there or not", "[core][atomic_file]") {
  namespace fs = std::filesystem;
  const temporary_folder folder;
  fs::create_directory(folder.path() / "data");
  folder.put("data/real", "old");
  fs::create_symlink("data/real", folder.path() / "relative");
  fs::create_symlink(folder.path() / "relative", folder.path() / "twice");
  fs::create_symlink("data/later", folder.path() / "dangling");
  write_text(folder.path() / "twice", "new");
  write_text(folder.path() / "dangling", "first");
  CHECK(fs::is_symlink(folder.path() / "twice"));
  CHECK(fs::is_symlink(folder.path() / "relative"));
  CHECK(read_text(folder.path() / "data/real") == "new");
  CHECK(read_text(folder.path() / "data/later") == "first");
  CHECK(std::distance(fs::directory_iterator(folder.path() / "data"), fs::directory_iterator()) == 2);
}

TEST_CASE("links in a circle, and what is no file, are refused", "[core][atomic_file]") {
  namespace fs = std::filesystem;
  const temporary_folder folder;
  fs::create_symlink("b", folder.path() / "a");
  fs::create_symlink("a", folder.path() / "b");
  CHECK_THAT(message_of<file_error>([&] { atomic_file(folder.path() / "a"); }),
             test::contains("expected at most 40 links to follow, got more"));
  REQUIRE(::mkfifo((folder.path() / "pipe").c_str(), 0600) == 0);
  CHECK_THAT(message_of<file_error>([&] { atomic_file(folder.path() / "pipe"); }),
             test::contains("expected a file to write, got no file"));
  CHECK(fs::is_fifo(folder.path() / "pipe"));
}

TEST_CASE("a process killed before the commit leaves the old file under its name", "[tensor][atomic_file]") {
  const temporary_folder folder;
  folder.put("a", "old");
  const ::pid_t child = ::fork();
  if (child == 0) {
    atomic_file file(folder.path() / "a");
    file.write_at(0, bytes_of_text("half"));
    std::raise(SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  CHECK(read_text(folder.path() / "a") == "old");
}

TEST_CASE("a file that cannot be made is refused by name", "[tensor][atomic_file]") {
  const temporary_folder folder;
  CHECK(message_of<file_error>([] { atomic_file("/nowhere/a"); }) ==
        "/nowhere/a: write: expected a file that can be created, got No such file or directory");
  CHECK_THAT(message_of<file_error>([&] { atomic_file(folder.path()); }),
             test::contains("expected a file to write, got a folder"));
}

TEST_CASE("a write that the file system refuses is reported with the file's name", "[tensor][atomic_file]") {
  const temporary_folder folder;
  atomic_file file(folder.path() / "a");
  constexpr std::uint64_t beyond_any_file = std::uint64_t{1} << 62;
  CHECK_THAT(message_of<file_error>([&] { file.write_at(beyond_any_file, bytes_of_text("x")); }),
             test::contains("a: write: expected room for the data"));
}

TEST_CASE("a disk without room for a file keeps the old one, and goes on when there is room", "[core][atomic_file]") {
  const temporary_folder folder;
  folder.put("a", "old");
  const std::string large(100'000, 'x');
  {
    const test::file_size_limit limit(4096);
    CHECK(message_of<full_disk_error>([&] { write_text(folder.path() / "a", large); }) ==
          (folder.path() / "a").string() + ": write: expected room for the data, got File too large");
  }
  CHECK(read_text(folder.path() / "a") == "old");
  CHECK(files_in(folder) == 1);
  write_text(folder.path() / "a", large);
  CHECK(read_text(folder.path() / "a") == large);
}
