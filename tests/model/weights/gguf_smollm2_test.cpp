#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/model/weights/gguf_config.hpp"
#include "kvtransfer/model/weights/gguf_weights.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

namespace {

/// Changes with any bit of any element, and with their order.
std::uint64_t checksum(const at::Tensor& tensor) {
  const float* const elements = tensor.const_data_ptr<float>();
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, elements + i, sizeof bits);
    sum += bits * (2 * static_cast<std::uint64_t>(i) + 1);
  }
  return sum;
}

}  // namespace

TEST_CASE("SmolLM2's GGUF file gives transformers' configuration and weights, to the bit", "[model][gguf][smollm2]") {
  const char* const path = std::getenv("KVT_SMOLLM2_GGUF");
  if (path == nullptr || !std::filesystem::exists(path)) {
    WARN("skipped: KVT_SMOLLM2_GGUF does not name SmolLM2-135M-Instruct.Q4_1.gguf");
    return;
  }
  const nlohmann::json expected =
      read_json_object(KVT_SOURCE_DIR "/tests/model/weights/fixtures/gguf/smollm2_checksums.json");
  const gguf_file file = gguf_file::open(path);
  const nlohmann::json config = gguf_config(file);
  for (const auto& [key, value] : expected.at("config").items()) {
    CAPTURE(key);
    CHECK(config.value(key, nlohmann::json("no such key")) == value);
  }
  CHECK(file.metadata().texts("tokenizer.ggml.tokens").size() == 49152);

  const gguf_weights weights(file);
  const nlohmann::json& checksums = expected.at("weights");
  CHECK(weights.names().size() == checksums.size());
  for (const auto& [name, sum] : checksums.items()) {
    CAPTURE(name);
    CHECK(checksum(weights.load(name, at::kFloat)) == sum.get<std::uint64_t>());
  }
}
