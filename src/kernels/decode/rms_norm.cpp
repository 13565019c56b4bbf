#include "kernels/decode/rms_norm.hpp"

#include <ATen/Dispatch_v2.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <cmath>
#include <tuple>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

// The norm in front of a block, and the sum in front of that.
//
//   rms_norm(x, weight, eps, adds_one)            y = x / rms(x) * weight
//   add_rms_norm(x, more, weight, eps, adds_one)  (x + more, the same of that)
//
// x, more   [..., width], float, bfloat16 or half
// weight    [width], of x's dtype
// adds_one  multiplies by 1 + weight
//
// Sums are fp32; what is rounded between is what transformers' models round: the sum, and, but where 1 is added, the
// normed x before it is multiplied. There are no gradients.

namespace kvtransfer::kernels {

norm_rows checked_norm(const at::Tensor& x, const std::optional<at::Tensor>& more, const at::Tensor& weight) {
  require<shape_error>(
      x.dim() > 0 && x.size(-1) > 0 && weight.dim() == 1 && weight.size(0) == x.size(-1) && weight.is_contiguous(),
      "rms_norm", "weight", [&] { return "[width] for x " + describe(x); }, [&] { return describe(weight); });
  require<value_error>(
      weight.scalar_type() == x.scalar_type() && weight.device() == x.device(), "rms_norm", "weight",
      [&] { return "the dtype and device of x, " + describe(x); }, [&] { return describe(weight); });
  norm_rows checked{x.contiguous(), std::nullopt, x.numel() / x.size(-1), x.size(-1)};
  if (more) {
    require<shape_error>(
        more->sizes() == x.sizes() && more->scalar_type() == x.scalar_type() && more->device() == x.device(),
        "add_rms_norm", "more", [&] { return describe(x); }, [&] { return describe(*more); });
    checked.more = more->contiguous();
  }
  return checked;
}

namespace {

template <class Element>
void norm_on_cpu(const norm_rows& in, const at::Tensor& weight, double eps, bool adds_one, const at::Tensor& sum,
                 const at::Tensor& normed) {
  const Element* const x = in.x.const_data_ptr<Element>();
  const Element* const more = in.more ? in.more->const_data_ptr<Element>() : nullptr;
  const Element* const factors = weight.const_data_ptr<Element>();
  Element* const added = in.more ? sum.mutable_data_ptr<Element>() : nullptr;
  Element* const y = normed.mutable_data_ptr<Element>();
  constexpr std::int64_t elements_worth_a_thread = 16384;
  at::parallel_for(0, in.rows, elements_worth_a_thread / in.width + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t first = row * in.width;
      const Element* from = x + first;
      if (more != nullptr) {
        for (std::int64_t i = 0; i < in.width; ++i) {
          added[first + i] =
              static_cast<Element>(static_cast<float>(x[first + i]) + static_cast<float>(more[first + i]));
        }
        from = added + first;
      }
      float squares[8] = {};  // side by side: one sum would wait for itself
      for (std::int64_t i = 0; i < in.width; ++i) {
        const auto value = static_cast<float>(from[i]);
        squares[i % 8] += value * value;
      }
      float square = 0;
      for (const float part : squares) {
        square += part;
      }
      const float scale = 1.0F / std::sqrt(square / static_cast<float>(in.width) + static_cast<float>(eps));
      for (std::int64_t i = 0; i < in.width; ++i) {
        const float value = static_cast<float>(from[i]) * scale;
        const auto factor = static_cast<float>(factors[i]);
        y[first + i] = static_cast<Element>(adds_one ? value * (factor + 1.0F)
                                                     : static_cast<float>(static_cast<Element>(value)) * factor);
      }
    }
  });
}

std::tuple<at::Tensor, at::Tensor> normed_on_cpu(const at::Tensor& x, const std::optional<at::Tensor>& more,
                                                 const at::Tensor& weight, double eps, bool adds_one) {
  const norm_rows in = checked_norm(x, more, weight);
  const at::Tensor sum = more ? at::empty_like(in.x) : at::Tensor();
  const at::Tensor normed = at::empty_like(in.x);
  AT_DISPATCH_V2(x.scalar_type(), "rms_norm",
                 AT_WRAP([&] { norm_on_cpu<scalar_t>(in, weight, eps, adds_one, sum, normed); }), at::kFloat,
                 at::kBFloat16, at::kHalf);
  return {sum, normed};
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, bool adds_one) {
  return std::get<1>(normed_on_cpu(x, std::nullopt, weight, eps, adds_one));
}

std::tuple<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& more, const at::Tensor& weight,
                                                double eps, bool adds_one) {
  return normed_on_cpu(x, more, weight, eps, adds_one);
}

}  // namespace
}  // namespace kvtransfer::kernels

TORCH_LIBRARY_FRAGMENT(kvtransfer, library) {
  library.def("rms_norm(Tensor x, Tensor weight, float eps, bool adds_one) -> Tensor");
  library.def(
      "add_rms_norm(Tensor x, Tensor more, Tensor weight, float eps, bool adds_one) -> (Tensor sum, Tensor normed)");
}

TORCH_LIBRARY_IMPL(kvtransfer, CPU, library) {
  library.impl("rms_norm", TORCH_FN(kvtransfer::kernels::rms_norm));
  library.impl("add_rms_norm", TORCH_FN(kvtransfer::kernels::add_rms_norm));
}
