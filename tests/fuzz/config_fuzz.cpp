// libFuzzer harness for config.json: what a model's sizes and rotary embeddings are read from. (CMakeLists.txt says how
// to build and run it.) A hostile file may be refused with the library's own errors, and with nothing else; frequencies
// that are accepted are numbers.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "insist.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"

namespace {

using kvtransfer::fuzz::insist;
using kvtransfer::fuzz::insist_one_line;

void read_rotary(const nlohmann::json& config) {
  try {
    for (const kvtransfer::rotary_embedding& embedding : kvtransfer::rotary_embeddings_from_config(config)) {
      for (std::int64_t tokens : {1, 1 << 20}) {
        for (const float frequency : embedding.at(tokens).inv_freq) {
          insist(std::isfinite(frequency));
        }
      }
    }
  } catch (const kvtransfer::error& refused) {
    insist_one_line(refused);
  }
}

void read_model(const nlohmann::json& config) {
  try {
    const kvtransfer::model_config model = kvtransfer::model_config_from_json(config, "fuzz");
    insist(model.q_heads % model.kv_heads == 0 && static_cast<std::int64_t>(model.rotary.size()) == model.layers);
  } catch (const kvtransfer::file_error& refused) {
    insist_one_line(refused);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const nlohmann::json config = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (config.is_object()) {
    read_rotary(config);
    read_model(config);
  }
  return 0;
}
