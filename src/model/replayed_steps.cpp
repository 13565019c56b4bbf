#include "model/replayed_steps.hpp"

#include <cstdlib>
#include <string>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

bool replays_steps_unasked() {
  const char* const said = std::getenv("KVTRANSFER_CUDA_GRAPHS");
  const std::string value = said == nullptr ? "off" : said;
  require<value_error>(value == "on" || value == "off", "generate_many", "KVTRANSFER_CUDA_GRAPHS", "on or off", value);
  return value == "on";
}

}  // namespace kvtransfer::detail
