#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/rope/architecture.hpp"
#include "kvtransfer/rope/detail/builtin_architectures.hpp"
#include "kvtransfer/rope/detail/config_layers.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/rope/type_parameters.hpp"
#include "kvtransfer/rope/type_registry.hpp"

namespace kvtransfer {

/// What a config.json says about one layer's RoPE: a type with its parameters, which has a specification for each
/// sequence length.
class rotary_embedding {
 public:
  /// A layer without RoPE.
  rotary_embedding() { geometry_.rope_type = "none"; }

  /// @param type how the frequencies come about
  /// @param geometry what they rotate: pairing, window, streams; its frequencies are filled in by `at`
  rotary_embedding(rope::rotary_type type, rope::type_parameters parameters, rotary_specification geometry)
      : type_(std::move(type)), parameters_(std::move(parameters)), geometry_(std::move(geometry)) {}

  /// As in a config: "default", "yarn", …; "none" for a layer without RoPE.
  [[nodiscard]] const std::string& rope_type() const { return geometry_.rope_type; }
  /// What the frequencies are computed from.
  [[nodiscard]] const rope::type_parameters& parameters() const { return parameters_; }

  /// False for a layer without RoPE.
  [[nodiscard]] bool rotates() const { return static_cast<bool>(type_.build); }

  /// Whether two lengths may have different frequencies (dynamic NTK, LongRoPE).
  [[nodiscard]] bool depends_on_length() const { return type_.depends_on_length; }

  /// The specification in force while the longest row of the batch has `length` tokens, that is, max(position) + 1.
  [[nodiscard]] rotary_specification at(std::int64_t length) const;

  /// Whether the other has the same type, parameters and geometry, and so the same frequencies at every length. Types
  /// of one name count as one type.
  [[nodiscard]] bool computes_as(const rotary_embedding& other) const;

  /// Rotates by −p·f from here on, as nanochat does.
  void rotate_backwards() { rotates_backwards_ = true; }

 private:
  rope::rotary_type type_;
  rope::type_parameters parameters_;
  rotary_specification geometry_;
  bool rotates_backwards_ = false;
};

namespace rope {

/// Whose cache rows are read: engines lay out the row of latent attention (MLA) in their own way.
enum class cache_writer : std::uint8_t { transformers, vllm };

/// What `rotary_embeddings_from_config` knows; extend a copy by a type or an architecture of your own.
struct config_knowledge {
  type_registry types = builtin_types();                       ///< by the name that a config gives them
  architecture_table architectures = builtin_architectures();  ///< by `model_type`
  /// The conventions to read a config by, whatever its `model_type` says: for a model that the table doesn't have.
  std::optional<architecture> conventions = {};
  cache_writer writer = cache_writer::transformers;  ///< whose rows of latent attention are meant
};

namespace detail {

/// The window, pairing and streams of layers whose parameters are `parameters`.
rotary_specification geometry_for(const config_reader& config, const architecture& model,
                                  const type_parameters& parameters, cache_writer writer);

/// @throws value_error for a model whose keys hold no rotation that could be moved, or one that is not known
void require_rotary_positions(const config_reader& config, const architecture& model);

/// A type as Phi-3.5-MoE applies it: frequencies are those of a short text at every length, and what scales attention
/// is given for texts within and beyond the original length. Source: transformers, PhimoeRotaryEmbedding.forward
rotary_type with_mscale_by_length(rotary_type plain);

/// The embedding of `layer`, of type `type`.
rotary_embedding embedding_for(const config_reader& config, const architecture& model, std::int64_t layer,
                               const std::string& type, const config_knowledge& knowledge);

/// Whether `layer` has a base or parameters that say it carries no RoPE.
bool is_switched_off(const config_reader& config, const architecture& model, std::int64_t layer,
                     const std::string& type);

/// The rotary embedding of every layer, by the text part of a config.
std::vector<rotary_embedding> embeddings_for(const config_reader& config, const architecture& model,
                                             const config_knowledge& knowledge);

/// The conventions that `config`, or a multimodal config around it, is to be read by.
architecture conventions_of(const config_reader& config, std::string_view outer_type,
                            const config_knowledge& knowledge);

}  // namespace detail
}  // namespace rope

/// The rotary embedding of every layer, from a Hugging Face config.json in any of its spellings.
///
/// MLA models (DeepSeek) get the window of the compressed cache row that engines keep: `kv_lora_rank` elements that
/// stand still, then `qk_rope_head_dim` that rotate. transformers keeps the two in separate tensors: there, set
/// `window_offset` to 0.
/// @param config the parsed file; for a multimodal model its `text_config` is read
/// @throws value_error on a `model_type` or `rope_type` that is not known (it lists the known ones), a base or factor
///         that is not positive, a key that could change the rotation and is not understood, a model whose positions
///         are not rotary; shape_error on lists of the wrong length
[[nodiscard]] std::vector<rotary_embedding> rotary_embeddings_from_config(const nlohmann::json& config,
                                                                          const rope::config_knowledge& knowledge = {});

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/rope/detail/rotary_embedding.ipp"  // IWYU pragma: export
#endif
