#include "kvtransfer/experiment/device_choice.hpp"

#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/DeviceGuard.h>
#include <fmt/format.h>

#include <charconv>
#include <system_error>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

namespace {

/// The number behind `cuda:`; -1 if the text is no number.
int device_index(std::string_view digits) {
  int index = -1;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  return problem == std::errc{} && end == digits.data() + digits.size() ? index : -1;
}

}  // namespace

at::Device choose_device(std::string_view name, std::int64_t local_rank, std::int64_t local_size) {
  const at::CUDAHooksInterface& cuda = at::detail::getCUDAHooks();
  const std::int64_t count = cuda.hasCUDA() ? cuda.getNumGPUs() : 0;
  if (name == "cpu" || (name == "auto" && count == 0)) {
    return at::Device(at::kCPU);
  }
  const bool named = name == "auto" || name == "cuda";
  const std::int64_t index = named ? local_rank : name.starts_with("cuda:") ? device_index(name.substr(5)) : -1;
  require<value_error>(index >= 0, "device", "name", "auto, cpu, cuda or cuda:INDEX", name);
  require<value_error>(named || local_size == 1, "device", "name",
                       formatted("auto, cpu or cuda, as {} processes of this host take a GPU each", local_size), name);
  if (index >= count) {
    fail<device_error>(
        "device", local_size == 1 ? std::string(name) : fmt::format("cuda:{}", index),
        local_size == 1 ? "a GPU that this build of torch can use" : "a GPU for each process of this host",
        fmt::format("{} of them", count));
  }
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
}

at::ScalarType default_dtype(at::Device device) {
  if (device.is_cpu()) {
    return at::kFloat;
  }
  const at::DeviceGuard guard(device);
  // The hook asks for compute capability 8.0, with which bfloat16 arithmetic came; torch has no question of that name.
  return at::detail::getCUDAHooks().supportsBFloat16ConvolutionWithCuDNNv8() ? at::kBFloat16 : at::kHalf;
}

at::ScalarType parse_dtype(std::string_view name) {
  if (name == "float32") {
    return at::kFloat;
  }
  require<value_error>(name == "bfloat16" || name == "float16", "dtype", "name", "float32, bfloat16 or float16", name);
  return name == "bfloat16" ? at::kBFloat16 : at::kHalf;
}

std::string name_of(at::ScalarType dtype) {
  return dtype == at::kFloat ? "float32" : dtype == at::kBFloat16 ? "bfloat16" : "float16";
}

}  // namespace kvtransfer
