#include "model/lack_of_memory.hpp"

#include <ATen/ops/empty.h>

#include <new>
#include <stdexcept>
#include <string>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/generate_many.hpp"
#include "kvtransfer/model/weights.hpp"
#include "model/free_memory.hpp"
#include "model/peak_memory.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

constexpr std::int64_t more_than_any = std::int64_t{1} << 50;  // bytes

std::string complaint_of_asking(at::Device device) {
  return message_of<out_of_memory_error>([&] {
    naming_lack_of_memory("ask", device,
                          [&] { return at::empty({more_than_any}, at::device(device).dtype(at::kByte)); });
  });
}

}  // namespace

TEST_CASE("what torch can't allocate on the host is said with bytes needed and free", "[model][lack_of_memory]") {
  const std::string complaint = complaint_of_asking(at::kCPU);
  CHECK(complaint.starts_with("ask: memory: expected 1125899906842624 bytes more on cpu, got "));
  CHECK(complaint.ends_with(" bytes free"));
}

TEST_CASE("other errors pass, and so does what work gives", "[model][lack_of_memory]") {
  CHECK(naming_lack_of_memory("ask", at::kCPU, [] { return 3; }) == 3);
  CHECK_THROWS_AS(naming_lack_of_memory("ask", at::kCPU, [] { throw value_error("other"); }), value_error);
  CHECK_THROWS_AS(naming_lack_of_memory("ask", at::kCPU, [] { at::empty({2}).view({3}); }), c10::Error);
  CHECK_THROWS_AS(naming_lack_of_memory("ask", at::kCPU, [] { throw std::bad_alloc(); }), out_of_memory_error);
}

TEST_CASE("the host's peak is no smaller than what was touched at a time", "[model][peak_memory]") {
  constexpr std::int64_t bytes = 300'000'000;
  CHECK_FALSE(peak_device_memory(at::kCPU).has_value());
  at::empty({bytes}, at::kByte).fill_(1);
  CHECK(peak_host_memory() > bytes);
}

TEST_CASE("what torch can't allocate on a GPU is said with what is needed and free", "[model][out_of_memory][cuda]") {
  if (!cuda_available()) {
    return;
  }
  const std::string complaint = complaint_of_asking(at::Device(at::kCUDA, 0));
  CHECK(complaint.starts_with("ask: memory: expected 1048576.00 GiB more on cuda:0, got "));
  CHECK(complaint.ends_with(" bytes free"));
}

TEST_CASE("texts that a full GPU has no room for are refused, and continued when there is room",
          "[model][out_of_memory][cuda]") {
  if (!cuda_available()) {
    return;
  }
  const at::Device device(at::kCUDA, 0);
  const temporary_folder folder;
  const causal_lm on_host = small_model();
  save_model(folder.path(), on_host.config, on_host.weights, at::kFloat);
  const causal_lm model = causal_lm::open(folder.path(), device, at::kFloat);
  const std::vector<generation_request> texts{{plan_of({{1, 2, 3}}), {}}};
  const std::size_t expected = generate_many(model, texts)[0].said.token_ids.size();
  {
    std::vector<at::Tensor> hog;
    for (std::int64_t size = free_memory(device); size >= 4096; size /= 2) {
      try {
        while (true) {
          hog.push_back(at::empty({size}, at::device(device).dtype(at::kByte)));
        }
      } catch (const c10::OutOfMemoryError&) {  // smaller ones may still fit
      }
    }
    CHECK_THROWS_AS(generate_many(model, texts), out_of_memory_error);
  }
  CHECK(generate_many(model, texts)[0].said.token_ids.size() == expected);
}

TEST_CASE("a GPU's peak is what was allocated at a time", "[model][peak_memory][cuda]") {
  if (!cuda_available()) {
    return;
  }
  constexpr std::int64_t bytes = std::int64_t{1} << 30;
  const at::Device device(at::kCUDA, 0);
  at::empty({bytes}, at::device(device).dtype(at::kByte));
  const std::int64_t once = peak_device_memory(device).value();
  CHECK(once >= bytes);
  at::empty({bytes / 2}, at::device(device).dtype(at::kByte));
  CHECK(peak_device_memory(device).value() == once);
}
