#include "model/step_kernels.hpp"

#include <cstdlib>
#include <string>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

namespace {

thread_local bool kernels_are_wanted = false;

}  // namespace

bool replays_steps_unasked() {
  const char* const said = std::getenv("KVTRANSFER_CUDA_GRAPHS");
  const std::string value = said == nullptr ? "on" : said;
  require<value_error>(value == "on" || value == "off", "generate_many", "KVTRANSFER_CUDA_GRAPHS", "on or off", value);
  return value == "on";
}

bool wants_gpu_kernels() { return kernels_are_wanted; }

gpu_kernels_wanted::gpu_kernels_wanted(bool wanted) : before_(kernels_are_wanted) { kernels_are_wanted = wanted; }

gpu_kernels_wanted::~gpu_kernels_wanted() { kernels_are_wanted = before_; }

}  // namespace kvtransfer::detail
