#include "kvtransfer/cache/file/detail/quantized_contents.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "cache/file/edited_file.hpp"
#include "cache/file/quantized/sample_quantized_cache.hpp"
#include "kvtransfer/cache/file/quantized/save_quantized_cache.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

edited_file sample_file(file_checksums checksums) {
  const temporary_folder folder;
  quantized_cache kv = sample_quantized_cache();
  kv.shift(7);
  save_cache(folder.path() / "cache", kv, checksums);
  return edited_file::opened(folder.path() / "cache");
}

/// What reading a quantized file complains of after a change of the file and of what it says of its codes.
std::string complaint_of_codes_after(const std::function<void(edited_file&, nlohmann::ordered_json&)>& change,
                                     file_checksums checksums = file_checksums::none) {
  edited_file file = sample_file(checksums);
  auto codes = nlohmann::ordered_json::parse(file.metadata()["kvtransfer.quantized"].get<std::string>());
  change(file, codes);
  if (file.metadata().contains("kvtransfer.quantized")) {
    file.metadata()["kvtransfer.quantized"] = codes.dump();
  }
  const std::string all = file.bytes();
  return message_of<file_error>([&] { read_quantized_contents(std::as_bytes(std::span(all)), "FILE"); });
}

}  // namespace

TEST_CASE("the contents of a quantized file are those of the cache it was saved from", "[cache][file][quantized]") {
  for (const file_checksums checksums : {file_checksums::none, file_checksums::crc32}) {
    const std::string bytes = sample_file(checksums).bytes();
    const quantized_contents contents = read_quantized_contents(std::as_bytes(std::span(bytes)), "FILE");
    quantized_cache kv = sample_quantized_cache();
    CHECK(contents.stored == kv.stored());
    kv.shift(7);
    CHECK(contents.target == kv.target());
    CHECK(contents.codes.layers.size() == 2);
    CHECK(contents.codes.layers[1].keys.scheme == sample_key_scheme());
    CHECK(contents.codes.layers[1].values.scheme == sample_value_scheme());
    CHECK(contents.checksums.has_value() == (checksums == file_checksums::crc32));
  }
}

TEST_CASE("codes that do not fit what is said of them are refused by field", "[cache][file][quantized]") {
  using json = nlohmann::ordered_json;
  CHECK(complaint_of_codes_after([](edited_file&, json& codes) { codes["wanted"].push_back(0); }) ==
        "FILE: kvtransfer.quantized.wanted: expected 2 layers, as kvtransfer.frame has, got 3");
  CHECK(complaint_of_codes_after([](edited_file&, json& codes) { codes["layers"].erase(1); }) ==
        "FILE: kvtransfer.quantized.layers: expected 2 layers, as kvtransfer.frame has, got 1");
  CHECK(complaint_of_codes_after([](edited_file& file, json&) {
          file.header["elsewhere"] = file.header["layers.1.value.scales"];
          file.header.erase("layers.1.value.scales");
        }) == "FILE: tensor layers.1.value.scales: expected a tensor of that name, got none");
  CHECK(complaint_of_codes_after([](edited_file&, json& codes) { codes["layers"][0]["key"]["moved"] = true; }) ==
        "FILE: tensor layers.0.key.carried_error: expected a tensor of that name, got none");
  CHECK(complaint_of_codes_after([](edited_file&, json& codes) {
          codes["layers"][0]["key"]["format"] = "float8_e4m3fn";
        }) == "FILE: tensor layers.0.key.codes: expected F8_E4M3, got U8");
  CHECK(complaint_of_codes_after([](edited_file&, json& codes) { codes["layers"][0]["key"]["format"] = "int8"; }) ==
        "FILE: tensor layers.0.key.scales: expected shape [2, 2, 2, 4], got [2, 2, 2, 8]");
  CHECK(complaint_of_codes_after([](edited_file&, json& codes) { codes["layers"][0]["key"]["groups"] = {{1, 4}}; }) ==
        "FILE: kvtransfer.quantized.layers[0].key.groups: expected groups of 5 slots in all, got 4");
  CHECK(complaint_of_codes_after([](edited_file&, json& codes) { codes["layers"][0]["key"]["groups"] = {{5, 1}}; }) ==
        "FILE: tensor layers.0.key.scales: expected shape [2, 2, 5, 8], got [2, 2, 2, 8]");
  CHECK(complaint_of_codes_after([](edited_file&, json& codes) { codes["layers"][1]["value"]["group_size"] = 4; }) ==
        "FILE: kvtransfer.quantized.layers[1].value: expected a scheme that fits head_dim=6, got int8 per token in "
        "groups "
        "of 4");
  CHECK_THAT(complaint_of_codes_after([](edited_file&, json& codes) { codes["layers"][1]["value"]["group_size"] = 0; }),
             contains("expected a scheme that fits head_dim=6, got int8 per token in groups of 0"));
  CHECK_THAT(complaint_of_codes_after([](edited_file& file, json&) { file.frame["layers"].erase(1); }),
             contains("FILE: kvtransfer.quantized.wanted: expected 1 layers"));
  CHECK(complaint_of_codes_after([](edited_file& file, json&) {
          file.header["layers.2.key.codes"] = {{"dtype", "U8"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
        }) ==
        "FILE: tensor \"layers.2.key.codes\": expected a name that the frame accounts for, got one of another layer or "
        "frame");
}

TEST_CASE("keys and values of unequal heads are refused", "[cache][file][quantized]") {
  CHECK(complaint_of_codes_after([](edited_file& file, nlohmann::ordered_json&) {
          file.header["layers.0.value.codes"]["shape"] = {2, 1, 5, 12};
          file.header["layers.0.value.scales"]["shape"] = {2, 1, 5, 6};
          file.header["layers.0.value.minimums"]["shape"] = {2, 1, 5, 6};
        }) == "FILE: tensor layers.0.value.codes: expected kv_heads=2, as the keys have, got [2, 1, 5, 12]");
}

TEST_CASE("keys are not wanted where none are written", "[cache][file][quantized]") {
  CHECK(complaint_of_codes_after(
            [](edited_file& file, nlohmann::ordered_json&) { file.set<std::int32_t>("frames.1.states", 5, 0); }) ==
        "FILE: kvtransfer.quantized.wanted[0]: expected a frame of as many streams, with keys in the slots that hold "
        "them, got frame 1");
}

TEST_CASE("an entry that was taken out or changed is noticed", "[cache][file][quantized]") {
  using json = nlohmann::ordered_json;
  CHECK_THAT(complaint_of_codes_after([](edited_file& file, json&) { file.metadata().erase("kvtransfer.quantized"); }),
             contains("FILE: metadata: expected an entry kvtransfer.quantized"));
  CHECK_THAT(complaint_of_codes_after([](edited_file& file, json&) { file.metadata().erase("kvtransfer.frame"); }),
             contains("FILE: metadata: expected an entry kvtransfer.frame"));
  CHECK_THAT(
      complaint_of_codes_after([](edited_file&, json& codes) { codes["wanted"] = {0, 0}; }, file_checksums::crc32),
      contains("FILE: checksum of names and metadata"));
}
