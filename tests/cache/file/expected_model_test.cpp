#include "kvtransfer/cache/file/expected_model.hpp"

#include <string>

#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("a model takes its own caches, and whoever asks for any takes all", "[cache][file]") {
  cache_frame frame;
  const auto complaint = [&](const expected_model& model) {
    return message_of<frame_error>([&] { model.require(frame, "FILE"); });
  };
  CHECK(complaint("mine") == "FILE: model: expected mine (or ask for any_model), got an unknown model");
  CHECK_FALSE(complaint("").empty());
  CHECK(complaint(any_model).empty());
  frame.set_model("mine");
  CHECK(complaint("mine").empty());
  CHECK(complaint(std::string("yours")) == "FILE: model: expected yours (or ask for any_model), got mine");
  CHECK(complaint(any_model).empty());
}
