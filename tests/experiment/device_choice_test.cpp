#include "kvtransfer/experiment/device_choice.hpp"

#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("devices are chosen by name", "[experiment][device_choice]") {
  CHECK(choose_device("cpu") == at::Device(at::kCPU));
  for (const char* name : {"gpu", "", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "CPU"}) {
    CHECK_THROWS_AS(choose_device(name), value_error);
  }
  CHECK_THROWS_AS(choose_device("cuda:99"), device_error);
}

TEST_CASE("without a GPU auto is the CPU and cuda is refused", "[experiment][device_choice]") {
  if (!at::detail::getCUDAHooks().hasCUDA()) {
    CHECK(choose_device("auto").is_cpu());
    CHECK(message_of<device_error>([] { choose_device("cuda"); }) ==
          "device: cuda: expected a GPU that this build of torch can use, got 0 of them");
  }
}

TEST_CASE("each of several processes on a host takes a GPU of its own", "[experiment][device_choice]") {
  CHECK(choose_device("cpu", 3, 8).is_cpu());
  CHECK(message_of<value_error>([] { choose_device("cuda:0", 1, 2); }) ==
        "device: name: expected auto, cpu or cuda, as 2 processes of this host take a GPU each, got cuda:0");
  const std::string too_many = message_of<device_error>([] { choose_device("cuda", 99, 100); });
  CHECK(too_many.starts_with("device: cuda:99: expected a GPU for each process of this host, got "));
}

TEST_CASE("the second process of a host takes the second GPU", "[experiment][device_choice][cuda]") {
  if (cuda_available()) {
    if (at::detail::getCUDAHooks().getNumGPUs() > 1) {
      CHECK(choose_device("auto", 1, 2) == at::Device(at::kCUDA, 1));
      CHECK(choose_device("cuda", 1, 2) == at::Device(at::kCUDA, 1));
    } else {
      CHECK_THROWS_AS(choose_device("auto", 1, 2), device_error);
    }
  }
}

TEST_CASE("with a GPU auto takes it, in a 16-bit dtype", "[experiment][device_choice][cuda]") {
  if (cuda_available()) {
    CHECK(choose_device("auto") == at::Device(at::kCUDA, 0));
    CHECK(choose_device("cuda:0") == choose_device("cuda"));
    const at::ScalarType dtype = default_dtype(choose_device("cuda"));
    CHECK((dtype == at::kBFloat16 || dtype == at::kHalf));
  }
}

TEST_CASE("dtypes are known by name and back", "[experiment][device_choice]") {
  for (const char* name : {"float32", "bfloat16", "float16"}) {
    CHECK(name_of(parse_dtype(name)) == name);
  }
  CHECK(default_dtype(at::Device(at::kCPU)) == at::kFloat);
  CHECK_THROWS_AS(parse_dtype("int8"), value_error);
}
