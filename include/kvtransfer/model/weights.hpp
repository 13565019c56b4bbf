#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/weights/weight_matrix.hpp"

namespace kvtransfer {

class gguf_weights;

/// What a model's layers are quantized to while they are loaded.
enum class weight_quantization : std::uint8_t {
  none,  ///< as they are stored
  nf4    ///< bitsandbytes' NF4; embedding, head, norms and biases stay floating
};

/// One decoder layer's parameters; what the model lacks is undefined. Matrices are [out, in].
struct layer_weights {
  at::Tensor input_layernorm;             ///< [hidden_size]
  weight_matrix q_proj;                   ///< [q_heads * head_dim, hidden_size]
  weight_matrix k_proj;                   ///< [kv_heads * head_dim, hidden_size]
  weight_matrix v_proj;                   ///< [kv_heads * head_dim, hidden_size]
  weight_matrix o_proj;                   ///< [hidden_size, q_heads * head_dim]
  at::Tensor post_attention_layernorm;    ///< [hidden_size]
  weight_matrix gate_proj;                ///< [intermediate_size, hidden_size]
  weight_matrix up_proj;                  ///< [intermediate_size, hidden_size]
  weight_matrix down_proj;                ///< [hidden_size, intermediate_size]
  at::Tensor q_bias;                      ///< [q_heads * head_dim]
  at::Tensor k_bias;                      ///< [kv_heads * head_dim]
  at::Tensor v_bias;                      ///< [kv_heads * head_dim]
  at::Tensor o_bias;                      ///< [hidden_size]
  at::Tensor gate_bias;                   ///< [intermediate_size]
  at::Tensor up_bias;                     ///< [intermediate_size]
  at::Tensor down_bias;                   ///< [hidden_size]
  weight_matrix qkv_proj;                 ///< the rows of q_proj, k_proj and v_proj in one, instead of them
  weight_matrix gate_up_proj;             ///< the rows of gate_proj and up_proj in one, instead of them
  at::Tensor q_norm;                      ///< [head_dim]
  at::Tensor k_norm;                      ///< [head_dim]
  at::Tensor pre_feedforward_layernorm;   ///< [hidden_size]
  at::Tensor post_feedforward_layernorm;  ///< [hidden_size]
};

/// All parameters of a model. With tied embeddings `lm_head` is the very tensor `embed_tokens`.
struct model_weights {
  at::Tensor embed_tokens;            ///< [vocab_size, hidden_size]
  at::Tensor norm;                    ///< [hidden_size]
  at::Tensor lm_head;                 ///< [vocab_size, hidden_size]
  std::vector<layer_weights> layers;  ///< from the embedding's side on
};

/// Loads a model's parameters, mapped: on the CPU, in the file's own type, nothing is copied. Matrices that
/// bitsandbytes has saved in NF4 stay so.
/// @param folder holds `model.safetensors`, or shards with `model.safetensors.index.json`
/// @param dtype any floating type; what the file holds in another is converted
/// @param quantize matrix by matrix: beside what is quantized already no more than one is there in `dtype`
/// @throws file_error for a missing, surplus or misshapen tensor; device_error if the device refuses
[[nodiscard]] model_weights load_weights(const std::filesystem::path& folder, const model_config& config,
                                         at::Device device, at::ScalarType dtype,
                                         weight_quantization quantize = weight_quantization::none);

/// Brings a GGUF file's parameters back from its blocks, one after the other.
/// @param config the file's own, see `gguf_config`
/// @param dtype float32, float16 or bfloat16
/// @throws file_error for a missing, surplus or misshapen tensor; value_error for another dtype; device_error if the
/// device refuses
[[nodiscard]] model_weights load_weights(const gguf_weights& stored, const model_config& config, at::Device device,
                                         at::ScalarType dtype,
                                         weight_quantization quantize = weight_quantization::none);

/// Writes `config.json` and `model.safetensors` as transformers' from_pretrained reads them, each file atomically; of a
/// matrix in NF4 codes and scales as they are, as bitsandbytes does. @param folder made if it is not there
/// @param config its `raw` is what is written, with the new dtype, and with the quantization where there is one
/// @param dtype what the floating parameters are stored in, one converted copy at a time
/// @throws file_error if the folder refuses; value_error for a dtype that is not floating
void save_model(const std::filesystem::path& folder, const model_config& config, const model_weights& weights,
                at::ScalarType dtype);

/// Normally distributed weights, for training from nothing and for tests: mean 0; norms multiply by 1.
///
/// A model whose `standard_deviation` is the usual 0.02 hardly uses positions; tests of positions want 0.1 or more.
/// @param standard_deviation of the matrices and biases; norms get none of it
/// @return fp32 on the CPU, the same for the same seed
[[nodiscard]] model_weights random_weights(const model_config& config, std::uint64_t seed, double standard_deviation);

/// Calls `visit(name, tensor)` for every parameter that exists, under transformers' name; for a tied head only once. Of
/// an NF4 matrix all that decides on its values is visited: the codes under the matrix's name, its scales under that
/// name with bitsandbytes' endings (.absmax, .nested_absmax, .nested_quant_map, .nested_offset).
void for_each_parameter(const model_weights& weights,
                        const std::function<void(const std::string&, const at::Tensor&)>& visit);

/// The same, with tensors that may be replaced.
void for_each_parameter(model_weights& weights, const std::function<void(const std::string&, at::Tensor&)>& visit);

/// Builds weights by asking `make(name, shape)` for every parameter that the configuration has.
/// @param make returns a tensor of that shape, or, of a layer's matrix, its codes; called in the order of
///             `for_each_parameter`
[[nodiscard]] model_weights make_weights(
    const model_config& config,
    const std::function<weight_matrix(const std::string&, const std::vector<std::int64_t>&)>& make);

/// Whether a parameter of this name is a matrix of a layer: what a quantization quantizes.
[[nodiscard]] bool is_layer_matrix(std::string_view name);

/// "none", or how the matrices of the layers are kept: "nf4".
[[nodiscard]] std::string describe_quantization(const model_weights& weights);

}  // namespace kvtransfer
