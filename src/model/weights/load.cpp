#include "model/weights/load.hpp"

#include <ATen/ops/equal.h>
#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>
#include <c10/util/accumulate.h>
#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/tensor/safetensors_folder.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"
#include "model/lack_of_memory.hpp"
#include "model/weights/conversion_buffer.hpp"
#include "model/weights/load_nf4.hpp"
#include "model/weights/room_for_weights.hpp"
#include "model/weights/weight_digest.hpp"

namespace kvtransfer {

namespace {

/// One parameter as the file has it, checked.
at::Tensor stored_parameter(const safetensors_folder& folder, const std::string& name,
                            const std::vector<std::int64_t>& shape) {
  if (!folder.contains(name)) {
    fail<file_error>(folder.path().string(), "tensor", excerpt(name), "no such tensor");
  }
  const safetensors_file& file = folder.file_of(name);
  const safetensors_entry& entry = file.entry(name);
  const std::string where = file.path().string();
  const bool floating = entry.dtype == safetensors_dtype::f16 || entry.dtype == safetensors_dtype::bf16 ||
                        entry.dtype == safetensors_dtype::f32 || entry.dtype == safetensors_dtype::f64;
  if (!floating) {
    fail<file_error>(where, fmt::format("tensor {}: dtype", excerpt(name)), "F16, BF16, F32 or F64",
                     describe(entry.dtype).name);
  }
  if (entry.shape != shape) {
    fail<file_error>(where, fmt::format("tensor {}: shape", excerpt(name)), excerpt(shape), excerpt(entry.shape));
  }
  return file.tensor(name);
}

/// A matrix that bitsandbytes has saved in 4 bits: under its name the codes, with endings what brings them back.
bool is_saved_in_4_bits(const safetensors_folder& folder, const std::string& name) {
  return folder.contains(name + detail::nf4_state_ending);
}

std::optional<at::ScalarType> compute_dtype_of(const model_config& config) {
  const std::string& name = config.nf4_compute_dtype;
  if (name.empty()) {
    return std::nullopt;
  }
  return name == "float16" ? at::kHalf : (name == "bfloat16" ? at::kBFloat16 : at::kFloat);
}

/// Where a checkpoint keeps the decoder: under transformers' plain names, or below a name where it is one part of a
/// model that also sees images. Source: transformers, what Gemma3ForConditionalGeneration saves in its versions.
struct decoder_place {
  std::string_view decoder;  ///< instead of "model."
  std::string_view head;     ///< instead of "lm_head."
};

constexpr decoder_place plain_place{"model.", "lm_head."};
constexpr decoder_place places_of_part[] = {{"language_model.model.", "language_model.lm_head."},
                                            {"model.language_model.", "lm_head."}};

decoder_place find_decoder(const safetensors_folder& folder) {
  for (const decoder_place& place : places_of_part) {
    if (folder.contains(fmt::format("{}embed_tokens.weight", place.decoder))) {
      return place;
    }
  }
  return plain_place;
}

constexpr std::string_view tied_head = "lm_head.weight";

std::string stored_name(const decoder_place& place, std::string_view name) {
  const bool head = name.starts_with(plain_place.head);
  const std::string_view plain = head ? plain_place.head : plain_place.decoder;
  return fmt::format("{}{}", head ? place.head : place.decoder, name.substr(plain.size()));
}

/// The inverse, of a tensor of the decoder's.
std::string plain_name(const decoder_place& place, std::string_view stored) {
  const bool decoder = stored.starts_with(place.decoder);
  return decoder ? fmt::format("{}{}", plain_place.decoder, stored.substr(place.decoder.size())) : std::string(stored);
}

/// Tensors without a use here: tables of the rotary embedding, and whatever sees images.
bool is_ignored(std::string_view name, const decoder_place& place) {
  if (name.ends_with(".rotary_emb.inv_freq")) {
    return true;
  }
  const bool part = place.decoder != plain_place.decoder;
  return part && !name.starts_with(place.decoder) && !name.starts_with(place.head);
}

/// A tensor that the configuration has no place for means that the model computes something else.
void refuse_other_tensors(const safetensors_folder& folder, const decoder_place& place, const model_config& config,
                          const std::unordered_set<std::string>& used) {
  for (const std::string& name : folder.names()) {
    if (!used.contains(name) && !is_ignored(name, place)) {
      fail<file_error>(folder.file_of(name).path().string(), "tensors",
                       fmt::format("those of a {} with this config.json", config.architecture), excerpt(name));
    }
  }
}

/// All tensors of a folder, used or not.
std::vector<detail::stored_tensor> stored_in(const safetensors_folder& folder) {
  std::vector<detail::stored_tensor> tensors;
  for (const std::string& name : folder.names()) {
    const safetensors_file& file = folder.file_of(name);
    const safetensors_entry& entry = file.entry(name);
    tensors.push_back({name, describe(entry.dtype).name, entry.shape, file.mapping(), file.bytes(name)});
  }
  return tensors;
}

/// Bytes that the decoder's tensors take on a device at least. On the CPU those of the wished type stay in the file.
std::int64_t bytes_of_decoder(const safetensors_folder& files, const decoder_place& place, at::Device device,
                              at::ScalarType dtype, weight_quantization quantize) {
  std::int64_t bytes = 0;
  for (const std::string& name : files.names()) {
    const safetensors_entry& entry = files.file_of(name).entry(name);
    const at::ScalarType stored = scalar_type_of(entry.dtype);
    const bool floating = at::isFloatingType(stored);
    const bool made_4_bits =
        quantize == weight_quantization::nf4 && floating && is_layer_matrix(plain_name(place, name));
    const bool stays_in_file = device.is_cpu() && !made_4_bits && (!floating || stored == dtype);
    if (!is_ignored(name, place) && !stays_in_file) {
      const auto size = static_cast<std::int64_t>(c10::elementSize(floating ? dtype : stored));
      const std::int64_t numbers = c10::multiply_integers(entry.shape);
      bytes += made_4_bits ? numbers / 2 : numbers * size;
    }
  }
  return bytes;
}

}  // namespace

namespace detail {

loaded_weights load_with_digest(const std::filesystem::path& folder, const model_config& config, at::Device device,
                                at::ScalarType dtype, weight_quantization quantize) {
  const safetensors_folder files = safetensors_folder::open(folder);
  const decoder_place place = find_decoder(files);
  require_room_for_weights(bytes_of_decoder(files, place, device, dtype, quantize), device);
  std::unordered_set<std::string> used;
  conversion_buffer buffer(at::TensorOptions().dtype(dtype).device(device));
  try {
    const auto load = [&](const std::string& name, const std::vector<std::int64_t>& shape) -> weight_matrix {
      const std::string stored = *used.insert(stored_name(place, name)).first;
      const bool matrix = is_layer_matrix(name);
      if (matrix && is_saved_in_4_bits(files, stored)) {
        nf4_matrix quantized = load_nf4(files, stored, shape, device, used);
        quantized.compute_dtype = compute_dtype_of(config);
        return quantized;
      }
      const at::Tensor kept = stored_parameter(files, stored, shape);
      if (!matrix || quantize == weight_quantization::none) {
        return kept.to(device, dtype);
      }
      const bool converted = kept.scalar_type() != dtype || !device.is_cpu();
      return quantize_nf4(converted ? buffer.of_shape(shape).copy_(kept) : kept);
    };
    model_weights weights = make_weights(config, load);
    // Tied by its configuration, a head that the files hold apart is a head of its own where it is another.
    // Source: transformers, PreTrainedModel.tie_weights.
    if (const std::string head = stored_name(place, tied_head); config.tie_word_embeddings && files.contains(head)) {
      const at::Tensor apart = load(std::string(tied_head), weights.embed_tokens.sizes().vec()).dense();
      weights.lm_head = at::equal(apart, weights.embed_tokens) ? weights.embed_tokens : apart;
    }
    refuse_other_tensors(files, place, config, used);
    return {std::move(weights), digest_when_asked(stored_in(files))};
  } catch (const c10::Error& bad) {
    if (is_lack_of_memory(bad)) {
      fail_for_lack_of_memory("load_weights", device, bad.what_without_backtrace());
    }
    fail<device_error>("load_weights", "device", fmt::format("memory for the model on {}", device.str()),
                       bad.what_without_backtrace());
  }
}

}  // namespace detail

model_weights load_weights(const std::filesystem::path& folder, const model_config& config, at::Device device,
                           at::ScalarType dtype, weight_quantization quantize) {
  return detail::load_with_digest(folder, config, device, dtype, quantize).weights;
}

}  // namespace kvtransfer
