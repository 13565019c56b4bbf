#include "experiment/free_name.hpp"

#include <filesystem>

#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using kvtransfer::detail::free_name;

TEST_CASE("a free name takes the first number that neither a folder, a file nor a broken link has", "[experiment]") {
  const kvtransfer::test::temporary_folder folder;
  const auto results = folder.path() / "results";
  CHECK(free_name(results) == folder.path() / "results.1");
  std::filesystem::create_directory(folder.path() / "results.1");
  folder.put("results.2", "a file");
  std::filesystem::create_symlink("nowhere", folder.path() / "results.3");
  CHECK(free_name(results) == folder.path() / "results.4");
}
