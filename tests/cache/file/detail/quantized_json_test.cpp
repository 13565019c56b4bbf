#include "kvtransfer/cache/file/detail/quantized_json.hpp"

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

quantized_record sample_quantized_record() {
  const code_record keys{{code_format::int4, quantization_axis::per_channel, 32},
                         slot_groups::of_runs({{3, 32}, {1, 7}, {2, 32}}),
                         safetensors_dtype::bf16,
                         true};
  const code_record values{
      {code_format::float8_e5m2, quantization_axis::per_token, 64}, {}, safetensors_dtype::f32, false};
  return {{1, 0}, {{keys, values}, {values, keys}}};
}

std::string complaint_of_text_after(const std::function<void(nlohmann::ordered_json&)>& change) {
  auto json = nlohmann::ordered_json::parse(format_quantized(sample_quantized_record()));
  change(json);
  return message_of<file_error>([&] { parse_quantized(json.dump(), 2, "FILE"); });
}

}  // namespace

TEST_CASE("what is said of codes is read as it was written", "[cache][file][quantized]") {
  CHECK(parse_quantized(format_quantized(sample_quantized_record()), 2, "FILE") == sample_quantized_record());
}

TEST_CASE("what is said of codes is refused where it means nothing", "[cache][file][quantized]") {
  using json = nlohmann::ordered_json;
  CHECK(complaint_of_text_after([](json& text) { text["version"] = 2; }) ==
        "FILE: kvtransfer.quantized.version: expected 1, got 2");
  CHECK(complaint_of_text_after([](json& text) { text["wanted"][0] = 2; }) ==
        "FILE: kvtransfer.quantized.wanted[0]: expected the number of one of 2 frames, got 2");
  CHECK(complaint_of_text_after([](json& text) { text["layers"][1]["key"]["format"] = "int3"; }) ==
        "FILE: kvtransfer.quantized.layers[1].key.format: expected int4, int8, float8_e4m3fn or float8_e5m2, got "
        "\"int3\"");
  CHECK(complaint_of_text_after([](json& text) { text["layers"][1]["key"]["dtype"] = "I8"; }) ==
        "FILE: kvtransfer.quantized.layers[1].key.dtype: expected a floating dtype as safetensors names it, got "
        "\"I8\"");
  CHECK_THAT(complaint_of_text_after([](json& text) { text["layers"][0]["key"]["groups"][1] = {1, 0}; }),
             contains("layers[0].key.groups[1]: expected two numbers from 1 on"));
  CHECK_THAT(complaint_of_text_after([](json& text) { text["layers"][0]["key"]["groups"][1] = {1, 2, 3}; }),
             contains("layers[0].key.groups[1]: expected two numbers from 1 on"));
  CHECK_THAT(complaint_of_text_after([](json& text) {
               text["layers"][0]["key"]["groups"][1] = {std::int64_t{1} << 40, std::int64_t{1} << 40};
             }),
             contains("no more than 2^63 - 1 slots in all"));
  CHECK_THAT(complaint_of_text_after([](json& text) {
               text["layers"][0]["key"]["groups"] = {{1, std::int64_t{1} << 62}, {1, std::int64_t{1} << 62}};
             }),
             contains("layers[0].key.groups[1]: expected two numbers from 1 on"));
  CHECK_THAT(complaint_of_text_after([](json& text) { text["layers"][0]["key"]["more"] = 1; }),
             contains("layers[0].key: expected an object of format, per_channel, group_size, groups, dtype, moved"));
  CHECK_THAT(complaint_of_text_after([](json& text) { text["layers"][0].erase("value"); }),
             contains("layers[0]: expected an object of key, value"));
}
