#pragma once

#include <cstdint>
#include <string_view>

namespace kvtransfer::rope {

/// Which two elements of the rotary window frequency i rotates together.
enum class pairing : std::uint8_t {
  half_split,   ///< elements i and i + rotary_dim/2: NeoX style, transformers' rotate_half (Llama, Qwen, Gemma, Phi)
  interleaved,  ///< elements 2i and 2i + 1: GPT-J style (GPT-J, GLM, Cohere, llama.cpp's Llama)
};

/// The enumerator's name.
[[nodiscard]] constexpr std::string_view to_string(pairing value) {
  return value == pairing::half_split ? "half_split" : "interleaved";
}

}  // namespace kvtransfer::rope
