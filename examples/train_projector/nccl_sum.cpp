#include "nccl_sum.hpp"

#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"  // IWYU pragma: keep (where torch has no NCCL)

#ifdef USE_C10D_NCCL  // torch's headers ask for it too
#include <c10/cuda/CUDAGuard.h>

#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace kvtransfer::train_projector {

#ifdef USE_C10D_NCCL

namespace {

class nccl final : public gradient_exchange::sum {
 public:
  nccl(c10::intrusive_ptr<c10d::Store> store, int rank, int size, at::Device device)
      : device_(device),
        group_(c10::make_intrusive<c10d::ProcessGroupNCCL>(std::move(store), rank, size,
                                                           c10d::ProcessGroupNCCL::Options::create())) {}
  ~nccl() override { group_->shutdown(); }

  void add_up(at::Tensor& flat) override {
    const c10::cuda::CUDAGuard guard(device_);
    std::vector<at::Tensor> tensors{flat};
    group_->allreduce(tensors)->wait();
  }

 private:
  at::Device device_;
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> group_;
};

}  // namespace

std::shared_ptr<gradient_exchange::sum> nccl_sum(c10::intrusive_ptr<c10d::Store> store, std::int64_t rank,
                                                 std::int64_t size, at::Device device) {
  return std::make_shared<nccl>(std::move(store), static_cast<int>(rank), static_cast<int>(size), device);
}

#else

std::shared_ptr<gradient_exchange::sum> nccl_sum(c10::intrusive_ptr<c10d::Store>, std::int64_t, std::int64_t,
                                                 at::Device device) {
  fail<device_error>("gradient_exchange", "device", "cpu, or a build of this program that found NCCL's headers",
                     device.str());
}

#endif

}  // namespace kvtransfer::train_projector
