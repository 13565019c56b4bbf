#include "kvtransfer/experiment/program_info.hpp"

#include <ATen/Parallel.h>
#include <torch/headeronly/version.h>

#include "kvtransfer/core/version.hpp"
#include "kvtransfer/experiment/device_choice.hpp"
#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer {

program_info make_program_info(const causal_lm& model, const std::string& quantization) {
  return {library_version,        TORCH_VERSION, model.device().str(),
          name_of(model.dtype()), quantization,  at::get_num_threads()};
}

}  // namespace kvtransfer
