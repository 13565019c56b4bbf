#include "kvtransfer/core/atomic_file.hpp"

#include <sys/wait.h>

#include <csignal>
#include <iterator>
#include <string>

#include "kvtransfer/core/json_file.hpp"
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
