#include "kvtransfer/core/mapped_file.hpp"

#include <chrono>
#include <cstddef>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::message_of;
using kvtransfer::test::temporary_folder;

TEST_CASE("a mapping shows the file's bytes and outlives its name", "[tensor][mapped_file]") {
  const temporary_folder folder;
  const auto path = folder.put("a.bin", "hello");
  const auto mapping = mapped_file::open(path);
  std::filesystem::remove(path);
  const std::string_view seen(reinterpret_cast<const char*>(mapping->bytes().data()), mapping->bytes().size());
  CHECK(seen == "hello");
}

TEST_CASE("writing to a mapping leaves the file as it is", "[tensor][mapped_file]") {
  const temporary_folder folder;
  const auto path = folder.put("a.bin", "hello");
  mapped_file::open(path)->bytes()[0] = std::byte{'J'};
  std::string content;
  std::ifstream(path) >> content;
  CHECK(content == "hello");
}

TEST_CASE("the file itself can be read beside a mapping that was written to, and not past its end",
          "[tensor][mapped_file]") {
  const temporary_folder folder;
  const auto path = folder.put("a", "abcdef");
  const auto file = mapped_file::open(path);
  file->bytes()[2] = std::byte{'X'};
  std::vector<std::byte> read(3);
  file->read(1, read);
  CHECK(read == std::vector{std::byte{'b'}, std::byte{'c'}, std::byte{'d'}});
  CHECK(message_of<file_error>([&] { file->read(4, read); }) ==
        path.string() + ": file: expected 1 bytes at 6, got its end");
}

TEST_CASE("an empty file maps to nothing", "[tensor][mapped_file]") {
  const temporary_folder folder;
  CHECK(mapped_file::open(folder.put("empty", ""))->bytes().empty());
}

TEST_CASE("what is no readable regular file is refused by name", "[tensor][mapped_file]") {
  const temporary_folder folder;
  const auto complaint = [](const std::filesystem::path& path) {
    return message_of<file_error>([&] { mapped_file::open(path); });
  };
  CHECK(complaint("/nowhere/a.bin") == "/nowhere/a.bin: file: expected a readable file, got No such file or directory");
  CHECK(complaint(folder.path()) == folder.path().string() + ": file: expected a regular file, got something else");
  CHECK(complaint("/dev/null") == "/dev/null: file: expected a regular file, got something else");
}

TEST_CASE("a file that was written in place since it was mapped is found out, and one that was replaced is not",
          "[core][mapped_file]") {
  const temporary_folder folder;
  const auto path = folder.put("a.bin", "hello");
  const auto mapping = mapped_file::open(path);
  const auto inside = mapping->bytes().data() + 3;
  CHECK_NOTHROW(mapped_file::require_unchanged_at(inside));
  std::filesystem::rename(folder.put("b.bin", "something longer"), path);
  CHECK_NOTHROW(mapping->require_unchanged());
  const auto second = mapped_file::open(path);
  std::ofstream(path, std::ios::app) << "!";
  CHECK(message_of<file_error>([&] { second->require_unchanged(); }) ==
        path.string() +
            ": file: expected the file as it was mapped (open it again), got a file that was written to since");
  CHECK_NOTHROW(mapping->require_unchanged());
}

TEST_CASE("addresses outside of every mapping, and of mappings that are gone, are nobody's file",
          "[core][mapped_file]") {
  const temporary_folder folder;
  const auto path = folder.put("a.bin", "hello");
  const std::byte* address = nullptr;
  {
    const auto mapping = mapped_file::open(path);
    address = mapping->bytes().data();
    std::ofstream(path, std::ios::app) << "!";
    CHECK_THROWS_AS(mapped_file::require_unchanged_at(address), file_error);
    CHECK_NOTHROW(mapped_file::require_unchanged_at(&path));
  }
  CHECK_NOTHROW(mapped_file::require_unchanged_at(address));
}

TEST_CASE("a file that is written as soon as it was mapped is found out, however fast that goes",
          "[core][mapped_file]") {
  const temporary_folder folder;
  for (int i = 0; i < 20; ++i) {
    const auto path = folder.put("a.bin", "hello");  // the mapping comes within the tick of the clock
    const auto mapping = mapped_file::open(path);
    folder.put("a.bin", "jelly");
    CHECK_THROWS_AS(mapping->require_unchanged(), file_error);
  }
}

TEST_CASE("a file from the future is mapped without waiting for it", "[core][mapped_file]") {
  const temporary_folder folder;
  const auto path = folder.put("a.bin", "hello");
  std::filesystem::last_write_time(path, std::filesystem::last_write_time(path) + std::chrono::hours(1));
  const auto begin = std::chrono::steady_clock::now();
  CHECK(mapped_file::open(path)->bytes().size() == 5);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::minutes(1));
}
