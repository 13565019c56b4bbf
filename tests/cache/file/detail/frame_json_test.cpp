#include "kvtransfer/cache/file/detail/frame_json.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "cache/file/sample_cache.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

frame_record sample_record() {
  const model_identity model{"d", "nf4", "none", "t", {{"hidden_size", "64"}}, {{"rope_type", "yarn"}}};
  return {assume_unknown_origin({}, model),
          true,
          {0, 1, 1, 0},
          {{sample_specification()}, {sample_specification(), plain_specification(2)}, {}},
          true,
          {{edit_kind::noise, cache_half::keys, {0, 2}, {1}, {{0, 3}, {4, 1}}, "seed 7"}, {}},
          {0, 3, 1}};
}

/// What reading the sample record complains of after `change` of its JSON.
template <class Change>
std::string record_complaint(Change&& change) {
  auto json = nlohmann::ordered_json::parse(format_frame(sample_record()));
  change(json);
  return message_of<file_error>([&] { parse_frame(json.dump(), "FILE"); });
}

}  // namespace

TEST_CASE("a frame's record comes back from its text", "[cache][file]") {
  CHECK(parse_frame(format_frame(sample_record()), "FILE") == sample_record());
  frame_record empty;
  empty.checksums = false;
  CHECK(parse_frame(format_frame(empty), "FILE") == empty);
  CHECK_FALSE(parse_frame(format_frame(empty), "FILE").origin.is_known());
}

TEST_CASE("the text says its version and layout, for whoever reads it", "[cache][file]") {
  CHECK_THAT(
      format_frame(sample_record()),
      StartsWith(R"({"version":2,"layout":"batch_heads_seq_dim","checksums":true,"origin":{"digest":"d",)"
                 R"("quantization":"nf4","adapter":"none","tokenizer":"t","rotary":{"rope_type":"yarn"},)"
                 R"("configuration":{"hidden_size":"64"},"basis":"unknown_origin"},"assumed":true,)"
                 R"("edits":[{"kind":"noise","half":"keys","layers":[0,2],"heads":[1],"slots":[[0,3],[4,1]],)"
                 R"("origin":"seed 7"},{"kind":"other","half":"both","layers":[],"heads":[],"slots":[],"origin":""}],)"
                 R"("layers":[0,1,1,0],)"
                 R"("frames":[{"specifications":[{"rope_type":"yarn","inv_freq":[1.0,-0.10000000149011612],)"));
}

TEST_CASE("a document of another version is refused for that, whatever else it holds", "[cache][file]") {
  CHECK(message_of<file_error>([] { parse_frame(R"({"version": 7, "new": {}})", "FILE"); }) ==
        "FILE: kvtransfer.frame.version: expected 1 or 2, got 7");
  CHECK(message_of<file_error>([] { parse_frame("{}", "FILE"); }) ==
        "FILE: kvtransfer.frame: expected an object with version, got {}");
}

TEST_CASE("what is malformed in a frame is refused by field", "[cache][file]") {
  CHECK(message_of<file_error>([] { parse_frame("{", "FILE"); }) ==
        "FILE: kvtransfer.frame: JSON: expected valid JSON, got a syntax error at byte 2");
  CHECK_THAT(message_of<file_error>([] { parse_frame("[[[[[[[]]]]]]]", "FILE"); }),
             contains("at most 6 nested levels"));
  CHECK(record_complaint([](auto& json) { json["layout"] = "paged"; }) ==
        R"(FILE: kvtransfer.frame.layout: expected batch_heads_seq_dim, got "paged")");
  CHECK(record_complaint([](auto& json) { json["assumed"] = 1; }) ==
        "FILE: kvtransfer.frame.assumed: expected true or false, got 1");
  CHECK(record_complaint([](auto& json) { json["origin"]["digest"] = nullptr; }) ==
        "FILE: kvtransfer.frame.origin.digest: expected a string, got null");
  CHECK_THAT(record_complaint([](auto& json) { json["origin"]["rotary"]["factor"] = 2; }),
             contains("expected a string, got 2"));
  CHECK(record_complaint([](auto& json) { json["origin"]["basis"] = "guessed"; }) ==
        "FILE: kvtransfer.frame.origin.basis: expected recorded, same_weights or unknown_origin, got \"guessed\"");
  CHECK(record_complaint([](auto& json) { json["edits"][0]["kind"] = "mended"; }) ==
        "FILE: kvtransfer.frame.edits[0].kind: expected the name of a kind of edit, got \"mended\"");
  CHECK(record_complaint([](auto& json) { json["edits"][0]["half"] = "third"; }) ==
        "FILE: kvtransfer.frame.edits[0].half: expected both, keys or values, got \"third\"");
  CHECK_THAT(record_complaint([](auto& json) { json["edits"][0]["slots"][1] = {4}; }),
             contains("FILE: kvtransfer.frame.edits[0].slots[1]: expected two numbers"));
  CHECK_THAT(record_complaint([](auto& json) { json["origin"].erase("adapter"); }),
             contains("FILE: kvtransfer.frame.origin: expected an object of digest"));
  CHECK(record_complaint([](auto& json) { json["layers"] = 3; }) ==
        "FILE: kvtransfer.frame.layers: expected a list, got 3");
  CHECK_THAT(record_complaint([](auto& json) { json["layers"][1] = -1; }),
             contains("FILE: kvtransfer.frame.layers[1]: expected an integer, 0 or more"));
  CHECK_THAT(record_complaint([](auto& json) { json["frames"][1] = 3; }),
             contains("FILE: kvtransfer.frame.frames[1]: expected an object of specifications, roundings, got 3"));
  CHECK_THAT(record_complaint([](auto& json) { json["frames"][1]["specifications"][1].erase("pairing"); }),
             contains("FILE: kvtransfer.frame.frames[1].specifications[1]: expected an object of rope_type"));
  CHECK_THAT(record_complaint([](auto& json) { json["extra"] = 3; }),
             contains("FILE: kvtransfer.frame: expected an object"));
}

TEST_CASE("a name that is not UTF-8 is refused before it is written", "[cache][file]") {
  frame_record record = sample_record();
  record.origin = model_identity{"\xff"};
  CHECK_THROWS_AS(format_frame(record), value_error);
}
