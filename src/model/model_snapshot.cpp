#include "model/model_snapshot.hpp"

#include <algorithm>
#include <cstddef>
#include <tuple>

#include "kvtransfer/core/mapped_file.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"

namespace kvtransfer {

namespace {

/// How often a tensor was written to, as autograd counts it; tensors of inference mode are not counted.
std::uint32_t version_of(const at::Tensor& tensor) {
  return !tensor.defined() || tensor.is_inference() ? 0 : static_cast<std::uint32_t>(tensor._version());
}

/// Whether both compute the same numbers: token ids and the longest text decide on none.
bool computes_as(const model_config& a, const model_config& b) {
  const auto numbers = [](const model_config& one) {
    return std::tie(one.architecture, one.layers, one.hidden_size, one.intermediate_size, one.q_heads, one.kv_heads,
                    one.head_dim, one.vocab_size, one.rms_norm_eps, one.tie_word_embeddings, one.qkv_bias,
                    one.output_bias, one.mlp_bias, one.norms_queries_and_keys, one.norms_outputs, one.norms_add_one,
                    one.fuses_projections, one.activation, one.embedding_scale, one.final_softcap, one.attention,
                    one.nf4_compute_dtype);
  };
  return numbers(a) == numbers(b) &&
         std::ranges::equal(a.rotary, b.rotary,
                            [](const rotary_embedding& x, const rotary_embedding& y) { return x.computes_as(y); });
}

}  // namespace

model_snapshot::model_snapshot(const model_config& config, const model_weights& weights) : config_(config) {
  for_each_parameter(weights, [&](const std::string&, const at::Tensor& tensor) {
    weights_.push_back({c10::weak_intrusive_ptr<at::TensorImpl>(tensor.getIntrusivePtr()), version_of(tensor)});
  });
}

std::string model_snapshot::change_in(const causal_lm& model) const {
  if (!computes_as(config_, model.config)) {
    return "config";
  }
  std::string changed;
  std::size_t index = 0;
  for_each_parameter(model.weights, [&](const std::string& name, const at::Tensor& tensor) {
    const bool same = index < weights_.size() &&
                      weights_[index].tensor._unsafe_get_target() == tensor.unsafeGetTensorImpl() &&
                      weights_[index].version == version_of(tensor);
    changed = changed.empty() && !same ? name : changed;
    ++index;
  });
  return changed.empty() && index != weights_.size() ? "number of weights" : changed;
}

std::string causal_lm::changed() const { return identified == nullptr ? std::string() : identified->change_in(*this); }

namespace detail {

void take_snapshot(causal_lm& model) {
  model.identified = std::make_shared<const model_snapshot>(model.config, model.weights);
}

cache_origin origin_of(const causal_lm& model) {
  return model.changed().empty() ? cache_origin(model.identity) : cache_origin();
}

void require_weights_on_disk_unchanged(const causal_lm& model) {
  for_each_parameter(model.weights, [](const std::string&, const at::Tensor& tensor) {
    if (tensor.is_cpu() && tensor.numel() > 0) {
      mapped_file::require_unchanged_at(tensor.const_data_ptr());
    }
  });
}

}  // namespace detail

}  // namespace kvtransfer
