// A shared library that Python can load beside torch, so that our frequencies and transformers' come from one process.

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "kvtransfer/rope/rotary_embedding.hpp"

/// Writes the inverse frequencies of `layer` while the longest row has `length` tokens.
/// @param config text of a config.json
/// @param inv_freq room for as many floats as there are pairs
/// @return how many there are; 0 for a layer without RoPE
extern "C" std::int64_t kvt_inverse_frequencies(const char* config, std::int64_t layer, std::int64_t length,
                                                float* inv_freq, double* attention_scaling) {
  const auto embeddings = kvtransfer::rotary_embeddings_from_config(nlohmann::json::parse(config));
  const kvtransfer::rotary_specification specification = embeddings.at(static_cast<std::size_t>(layer)).at(length);
  std::copy(specification.inv_freq.begin(), specification.inv_freq.end(), inv_freq);
  *attention_scaling = specification.attention_scaling;
  return static_cast<std::int64_t>(specification.inv_freq.size());
}
