#include <string>

#include "kvtransfer/cache/file/detail/mapped_cache.hpp"
#include "kvtransfer/core/mapped_file.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;

TEST_CASE("advice about mapped bytes changes none of them", "[cache][file]") {
  const test::temporary_folder folder;
  const std::string text(300'000, 'x');
  const auto mapping = mapped_file::open(folder.put("a", text));
  const auto bytes = mapping->bytes();
  detail::paging::expect_single_pages(bytes.subspan(5000, 7));
  detail::paging::fetch(bytes.subspan(123));
  detail::paging::expect_everything(bytes);
  detail::paging::fetch(bytes.subspan(bytes.size()));
  CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == text);
}
