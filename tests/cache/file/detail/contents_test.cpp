#include "kvtransfer/cache/file/detail/contents.hpp"

#include <cstdint>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cache/file/edited_file.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// What reading the sample file complains of after `change`.
std::string complaint_after(const std::function<void(edited_file&)>& change) {
  edited_file file = edited_file::of();
  change(file);
  return file.complaint();
}

/// Gives a tensor another shape without a byte more or less.
void reshape(edited_file& file, const std::string& tensor, const std::vector<std::int64_t>& shape) {
  file.header[tensor]["shape"] = shape;
}

/// Puts a tensor without bytes into the file.
void add_empty(edited_file& file, const std::string& tensor, const std::string& dtype,
               const std::vector<std::int64_t>& shape) {
  file.header[tensor] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {0, 0}}};
}

}  // namespace

TEST_CASE("the contents of a file are those of the cache it was saved from", "[cache][file]") {
  const std::string bytes = edited_file::of().bytes();
  const cache_contents contents = read_cache_contents(std::as_bytes(std::span(bytes)), "FILE");
  CHECK(contents.stored == sample_frame());
  CHECK_FALSE(contents.checksums.has_value());
}

TEST_CASE("a safetensors file of something else is named as such", "[cache][file]") {
  CHECK(complaint_after([](edited_file& file) { file.metadata().erase("kvtransfer.frame"); }) ==
        "FILE: metadata: expected an entry kvtransfer.frame, as a cache file has it, got a safetensors file of 24 "
        "tensors "
        "without one");
  CHECK_THAT(message_of<file_error>([] { read_cache_contents({}, "FILE"); }), contains("FILE: header length"));
}

TEST_CASE("a frame that does not fit the tensors is refused by field", "[cache][file]") {
  CHECK(complaint_after([](edited_file& file) { file.frame["version"] = 3; }) ==
        "FILE: kvtransfer.frame.version: expected 1 or 2, got 3");
  CHECK(complaint_after([](edited_file& file) { file.frame["layers"][3] = 5; }) ==
        "FILE: kvtransfer.frame.layers[3]: expected the number of one of 5 frames, got 5");
  CHECK(complaint_after([](edited_file& file) { file.frame["layers"][2] = 0; }) ==
        "FILE: tensor layers.2.key: expected shape [2, 2, 5, 8], got [2, 2, 7, 8]");
  CHECK(complaint_after([](edited_file& file) { file.frame["layers"].push_back(0); }) ==
        "FILE: tensor layers.6.key: expected a tensor of that name, got none");
  CHECK(
      complaint_after([](edited_file& file) { file.frame["layers"].erase(5); }) ==
      "FILE: tensor \"layers.5.key\": expected a name that the frame accounts for, got one of another layer or frame");
  CHECK(complaint_after([](edited_file& file) {
          file.frame["frames"].erase(4);
          file.frame["layers"].erase(5);
        }) ==
        "FILE: tensor \"frames.4.positions\": expected a name that the frame accounts for, got one of another layer or "
        "frame");
  CHECK_THAT(
      complaint_after([](edited_file& file) { file.frame["frames"][0]["specifications"][0]["window_offset"] = 5; }),
      contains(
          "FILE: kvtransfer.frame.frames[0].specifications: expected a rotary window within head_dim=8, got yarn"));
  CHECK_THAT(
      complaint_after([](edited_file& file) { file.frame["frames"][2]["specifications"][0]["stream_of"] = {0, 1, 3}; }),
      contains("frames[2].specifications: expected at most 3 position streams, as many as there are, got 4"));
}

TEST_CASE("positions and states that mean nothing are refused", "[cache][file]") {
  CHECK(complaint_after([](edited_file& file) { file.set<std::int32_t>("frames.1.states", 4, 2); }) ==
        "FILE: frames.1.states[4]: expected -2, -1, or the number of one of 2 specifications, got 2");
  CHECK(complaint_after([](edited_file& file) { file.set<std::int32_t>("frames.1.states", 4, -3); }) ==
        "FILE: frames.1.states[4]: expected -2, -1, or the number of one of 2 specifications, got -3");
  CHECK(complaint_after([](edited_file& file) {
          file.set<std::int64_t>("frames.1.positions", 1, std::numeric_limits<std::int64_t>::min());
        }) == "FILE: frames.1.positions[1]: expected a position within 2^53 of 0, got -9223372036854775808");
  CHECK(complaint_after([](edited_file& file) { file.frame["frames"][1]["specifications"].erase(1); }) ==
        "FILE: frames.1.states[0]: expected -2, -1, or the number of one of 1 specifications, got 1");
}

TEST_CASE("tensors of another type or shape than the format's are refused", "[cache][file]") {
  CHECK(complaint_after([](edited_file& file) { file.header["frames.0.positions"]["dtype"] = "U64"; }) ==
        "FILE: tensor frames.0.positions: expected I64, got U64");
  CHECK(complaint_after([](edited_file& file) { file.header["frames.0.states"]["dtype"] = "F32"; }) ==
        "FILE: tensor frames.0.states: expected I32, got F32");
  CHECK(complaint_after([](edited_file& file) { file.header["layers.1.value"]["dtype"] = "I32"; }) ==
        "FILE: tensor layers.1.value: expected a floating dtype, got I32");
  CHECK(complaint_after([](edited_file& file) { reshape(file, "layers.0.key", {2, 2, 40}); }) ==
        "FILE: tensor layers.0.key: expected a shape of 4 axes, got [2, 2, 40]");
  CHECK(complaint_after([](edited_file& file) { reshape(file, "layers.0.key", {1, 4, 5, 8}); }) ==
        "FILE: tensor layers.0.key: expected shape [2, 4, 5, 8], got [1, 4, 5, 8]");
  CHECK(complaint_after([](edited_file& file) { reshape(file, "layers.0.value", {2, 3, 5, 4}); }) ==
        "FILE: tensor layers.0.value: expected shape [2, 2, 5, 4], got [2, 3, 5, 4]");
  CHECK(complaint_after([](edited_file& file) {
          reshape(file, "layers.2.key", {2, 4, 7, 4});
          reshape(file, "layers.2.value", {2, 4, 7, 3});
        }) == "FILE: tensor layers.2.key: expected kv_heads=2, as its positions have, got [2, 4, 7, 4]");
  CHECK(complaint_after([](edited_file& file) { reshape(file, "frames.0.states", {1, 2, 5}); }) ==
        "FILE: tensor frames.0.states: expected shape [2, 1, 5], got [1, 2, 5]");
  CHECK(complaint_after([](edited_file& file) { reshape(file, "layers.0.token_ids", {5, 2}); }) ==
        "FILE: tensor layers.0.token_ids: expected shape [2, 5], got [5, 2]");
  CHECK_THAT(complaint_after([](edited_file& file) { file.header["layers.0.key"]["data_offsets"][1] = 1; }),
             contains("FILE: tensor \"layers.0.key\": data_offsets"));
}

TEST_CASE("a few bytes do not ask for much memory", "[cache][file]") {
  constexpr std::int64_t many = std::int64_t{1} << 40;
  CHECK(complaint_after([](edited_file& file) { reshape(file, "frames.4.positions", {1, 2, many, 0}); }) ==
        "FILE: tensor frames.4.positions: expected at most 4194304 rows of positions in the file, got [1, 2, "
        "1099511627776, "
        "0]");
  CHECK(
      complaint_after([](edited_file& file) { reshape(file, "frames.4.positions", {many, 1, 1, 0}); }) ==
      "FILE: tensor frames.4.positions: expected 1 to 256 streams, 1 or more rows and heads, got [1099511627776, 1, 1, "
      "0]");
  CHECK_THAT(
      complaint_after([](edited_file& file) {
        for (const int frame : {5, 6}) {
          const std::string name = "frames." + std::to_string(frame);
          add_empty(file, name + ".positions", "I64", {frame == 5 ? 1 : 256, 20000, 1, 0});
          add_empty(file, name + ".states", "I32", {20000, 1, 0});
          file.frame["frames"].push_back({{"specifications", nlohmann::ordered_json::array()}, {"roundings", 0}});
        }
      }),
      contains("frames.6.positions: expected at most 4194304 rows of positions in the file"));
}

TEST_CASE("a file without a layer is one without tokens too", "[cache][file]") {
  edited_file file = edited_file::of(cache_frame(std::vector<cache_frame::shared_layer>{}));
  CHECK(file.complaint().empty());
  add_empty(file, "token_ids", "I64", {3, 0});
  CHECK(file.complaint() == "FILE: tensor token_ids: expected shape [0, 0], got [3, 0]");
}

TEST_CASE("tensors and metadata of somebody else's may stand beside", "[cache][file]") {
  CHECK(complaint_after([](edited_file& file) {
          file.metadata()["note"] = "run 7";
          add_empty(file, "hidden_states", "F32", {0});
        }).empty());
}

TEST_CASE("edits of layers or slots that are not there are refused", "[cache][file]") {
  const auto complaint = [](std::int64_t layer, std::int64_t slots) {
    return complaint_after([&](edited_file& file) {
      file.frame["edits"] = {{{"kind", "noise"},
                              {"half", "both"},
                              {"layers", {layer}},
                              {"heads", nlohmann::ordered_json::array()},
                              {"slots", {{0, slots}}},
                              {"origin", ""}}};
    });
  };
  CHECK(complaint(2, 7).empty());
  CHECK_THAT(complaint(2, 8), contains("FILE: kvtransfer.frame.edits: expected layers and slots that are there"));
  CHECK_THAT(complaint(6, 1), contains("FILE: kvtransfer.frame.edits: expected layers and slots that are there"));
}

TEST_CASE("a changed frame does not pass its checksum", "[cache][file]") {
  edited_file file = edited_file::of(sample_frame(), file_checksums::crc32);
  file.frame["assumed"] = false;
  CHECK_THAT(file.complaint(), contains("FILE: checksum of names and metadata: expected "));
}

TEST_CASE("changed positions and token ids do not pass their checksums", "[cache][file]") {
  for (const std::string tensor : {"frames.1.positions", "layers.1.token_ids"}) {
    edited_file file = edited_file::of(sample_frame(), file_checksums::crc32);
    CHECK(file.complaint().empty());
    file.set<std::int64_t>(tensor, 2, 12345);
    CHECK_THAT(file.complaint(), contains("FILE: checksum of " + tensor + ": expected "));
  }
}
