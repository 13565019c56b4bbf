#include "kvtransfer/experiment/suite_registry.hpp"

#include <string>

#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

std::string complaint_of(const std::string& wanted) {
  return message_of<value_error>([&] { (void)suite_registry::standard().open(wanted); });
}

}  // namespace

TEST_CASE("a suite is opened by its name, and of it what stands behind colons", "[experiment][suite]") {
  const suite_registry known = suite_registry::standard();
  CHECK(known.open("recall").tests.size() == 400);
  CHECK(known.open("recall:80").tests.size() == 80);
  const suite raw = known.open("stalling:raw");
  CHECK(raw.tests.size() == 20);
  CHECK(variants_of(raw) == std::vector<std::string>{"raw"});
  CHECK(known.open("stalling:raw:7").tests.size() == 7);
  CHECK(known.open("stalling:7:raw").tests.size() == 4);
}

TEST_CASE("a suite's file is opened likewise, whatever it is called", "[experiment][suite]") {
  const temporary_folder folder;
  const auto file = folder.put("a:3", suite_text(suite_registry::standard().open("recall:5")));
  CHECK(suite_registry::standard().open(file.string()).tests.size() == 5);
  CHECK(suite_registry::standard().open(file.string() + ":2").tests.size() == 2);
  CHECK(message_of<file_error>([] { (void)suite_registry::standard().open("none.json:3"); }) ==
        "none.json: file: expected an existing file, got none");
}

TEST_CASE("a suite that there is not is refused with what there is", "[experiment][suite]") {
  CHECK(complaint_of("recal") ==
        "suite: name: expected a file, or one of recall, matched_pairs, stalling, modes, got \"recal\"");
  CHECK(complaint_of("recall:0") == "suite: recall: expected 1 to 400 tests, got 0");
  CHECK(complaint_of("recall:401") == "suite: recall: expected 1 to 400 tests, got 401");
  CHECK(complaint_of("recall:99999999999999999999") ==
        "suite: recall: expected 1 to 400 tests, got 99999999999999999999");
  CHECK(complaint_of("recall:raw") == "suite: recall: expected a number of tests behind the colon, got \"raw\"");
  CHECK(complaint_of("stalling:poem") ==
        "suite: stalling: expected a number of tests or a variant (raw, chat) behind the colon, got \"poem\"");
  CHECK(complaint_of("stalling:") ==
        "suite: stalling: expected a number of tests or a variant (raw, chat) behind the colon, got \"\"");
}
