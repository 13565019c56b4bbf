#include "kvtransfer/core/write_failure.hpp"

#include <cerrno>
#include <string>

#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::message_of;

TEST_CASE("a full disk, quota or file is told from other reasons not to write", "[core][write_failure]") {
  for (const int reason : {ENOSPC, EDQUOT, EFBIG}) {
    CHECK_THROWS_AS(fail_to_write("a", "write", "room for the data", reason), full_disk_error);
  }
  CHECK(message_of<full_disk_error>([] { fail_to_write("a", "write", "room for the data", ENOSPC); }) ==
        "a: write: expected room for the data, got No space left on device");
  for (const int reason : {EIO, EACCES, EROFS}) {
    try {
      fail_to_write("a", "write", "room for the data", reason);
    } catch (const file_error& refused) {
      CHECK(dynamic_cast<const full_disk_error*>(&refused) == nullptr);
    }
  }
}
