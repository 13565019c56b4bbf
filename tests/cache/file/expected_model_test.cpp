#include "kvtransfer/cache/file/expected_model.hpp"

#include <string>

#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

const model_identity one_model{"mine", "none", "none", "words", {{"rms_norm_eps", "1e-06"}}, {{"rope_theta", "10000"}}};
const model_identity another_model{
    "others", "none", "none", "words", {{"rms_norm_eps", "1e-06"}}, {{"rope_theta", "10000"}}};

std::string acceptance_complaint(const expected_model& model, const cache_frame& frame) {
  return message_of<frame_error>([&] { (void)model.accepted(frame, "FILE"); });
}

cache_frame frame_of(const cache_origin& origin) {
  cache_frame frame;
  frame.set_origin(origin);
  return frame;
}

}  // namespace

TEST_CASE("a model takes its own caches, and whoever asks for any takes all, as whose they are", "[cache][file]") {
  CHECK(one_model == expected_model(one_model).accepted(frame_of(one_model), "FILE").model());
  CHECK(acceptance_complaint(another_model, frame_of(one_model)) ==
        "FILE: model: expected digest others (or say assume_same_weights, if they are stored in another way), got "
        "digest mine");
  CHECK(acceptance_complaint(one_model, {}) ==
        "FILE: model: expected a cache of mine (or say assume_unknown_origin), got one of unknown origin");
  CHECK(expected_model(any_model).accepted(frame_of(one_model), "FILE") == cache_origin(one_model));
  CHECK_FALSE(expected_model(any_model).accepted({}, "FILE").is_known());
}

TEST_CASE("a cache of unknown origin is taken by name, and says so", "[cache][file]") {
  const cache_origin taken = assume_unknown_origin(one_model).accepted({}, "FILE");
  CHECK(taken.model() == one_model);
  CHECK(taken.basis() == origin_basis::unknown_origin);
  CHECK(assume_unknown_origin(one_model).accepted(frame_of(one_model), "FILE").basis() == origin_basis::recorded);
  CHECK_FALSE(acceptance_complaint(assume_unknown_origin(one_model), frame_of(another_model)).empty());
}

TEST_CASE("other storage of the same weights is taken by name, and says so", "[cache][file]") {
  const cache_origin taken = assume_same_weights(one_model).accepted(frame_of(another_model), "FILE");
  CHECK(taken.model() == one_model);
  CHECK(taken.basis() == origin_basis::same_weights);
  CHECK(assume_same_weights(one_model).accepted(frame_of(one_model), "FILE").basis() == origin_basis::recorded);
  CHECK_FALSE(acceptance_complaint(assume_same_weights(one_model), {}).empty());
  model_identity sharper = another_model;
  sharper.configuration["rms_norm_eps"] = "1e-05";
  CHECK(acceptance_complaint(assume_same_weights(one_model), frame_of(sharper)) ==
        "assume_same_weights: model: expected configuration.rms_norm_eps 1e-06, got configuration.rms_norm_eps 1e-05");
}
