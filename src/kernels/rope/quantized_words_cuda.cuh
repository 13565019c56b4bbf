#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cuda_layers.cuh"
#include "kernels/rope/angles_cuda.cuh"
#include "kernels/rope/codes_cuda.cuh"
#include "kernels/rope/lanes_cuda.cuh"
#include "kernels/rope/quantized_rotation.hpp"
#include "kernels/rope/words_cuda.cuh"

// The CUDA kernels of quantized keys whose heads rotate as a whole and whose codes lie in words of four: a thread owns
// one word in either half of its tokens' heads, so both elements of four pairs, as in rotation_cuda.cuh, and between
// the old codes and the new ones they stay in its registers. `quantized_rotation_cuda.cu` says which keys these are.

namespace kvtransfer::rope::kernels {

inline constexpr int codes_in_word = 4;
/// Tokens whose elements a thread holds at once.
inline constexpr int tokens_in_registers = 4;
inline constexpr int threads_per_words_block = 256;

/// Everything a launch needs, passed by value as `cuda_rotation` is.
struct cuda_words {
  quantized_rotation given;
  quantized_keys layers[kvtransfer::kernels::layers_per_launch];
};

// How a word's codes become numbers, and steps become codes. What is no number gives some code.

__device__ inline std::uint32_t nearest_integer(float steps) {
  return __float_as_uint(steps +
                         12582912.0f);  // 1.5 * 2^23: such a sum has no fraction, and the integer is in its low bits
}

struct int4_word {
  using bits = std::uint16_t;
  static constexpr code_type code = code_type::int4;

  __device__ static void unpack(bits word, float* to) {
#pragma unroll
    for (int i = 0; i < codes_in_word; ++i) {
      to[i] = static_cast<float>(word >> (4 * i) & 15);
    }
  }
  __device__ static bits pack(const float* steps) {
    std::uint32_t word = 0;
#pragma unroll
    for (int i = 0; i < codes_in_word; ++i) {
      word |= (nearest_integer(steps[i]) & 15) << (4 * i);
    }
    return static_cast<bits>(word);
  }
};

struct int8_word {
  using bits = std::uint32_t;
  static constexpr code_type code = code_type::int8;

  __device__ static void unpack(bits word, float* to) {
#pragma unroll
    for (int i = 0; i < codes_in_word; ++i) {
      to[i] = static_cast<float>(word >> (8 * i) & 255);
    }
  }
  __device__ static bits pack(const float* steps) {
    const std::uint32_t low = __byte_perm(nearest_integer(steps[0]), nearest_integer(steps[1]), 0x0040);
    const std::uint32_t high = __byte_perm(nearest_integer(steps[2]), nearest_integer(steps[3]), 0x0040);
    return __byte_perm(low, high, 0x5410);
  }
};

template <class Element, code_type Code>
struct fp8_word {
  using bits = std::uint32_t;
  static constexpr code_type code = Code;

  __device__ static void unpack(bits word, float* to) { kernels::unpack(word, to, Element{}); }
  __device__ static bits pack(const float* steps) { return kernels::pack(steps, Element{}); }
};

/// Four floats of either half of a head.
struct halves {
  float of[2][codes_in_word];
};

/// Elements that thread x of a token owns, in either half of a head.
struct thread_elements {
  int first[2];

  __device__ explicit thread_elements(const rotation_arguments& rotation)
      : first{codes_in_word * static_cast<int>(threadIdx.x),
              rotation.pairs + codes_in_word * static_cast<int>(threadIdx.x)} {}

  /// The pair of number i of the four that these elements make.
  __device__ int pair(bool interleaved, int i) const { return interleaved ? first[i / 2] / 2 + i % 2 : first[0] + i; }
};

/// The tokens that a thread has in registers: of a head's from `begin` on those of number threadIdx.y + k * blockDim.y,
/// and no more than there are.
struct thread_tokens {
  std::int64_t batch;
  std::int64_t head;
  std::int64_t begin;
  int count;

  __device__ int token(int k) const { return static_cast<int>(threadIdx.y + k * blockDim.y); }
  __device__ bool has(int k) const { return token(k) < count; }
  __device__ token_positions positions(const rotation_arguments& rotation, int stream, int k) const {
    return has(k) ? positions_at(rotation, stream, batch, head, begin + token(k)) : token_positions();
  }
};

/// Rotates the elements of all of a thread's tokens.
/// @tparam Shared whether all tokens rotate by the same angles
template <bool Shared>
__device__ inline void rotate_tokens(const rotation_arguments& rotation, const frequency_table& table,
                                     const thread_elements& own, const thread_tokens& tokens,
                                     halves (&elements)[tokens_in_registers]) {
  token_positions at[tokens_in_registers];
#pragma unroll
  for (int k = 0; !Shared && k < tokens_in_registers; ++k) {
    at[k] = tokens.positions(rotation, 0, k);
  }
#pragma unroll
  for (int i = 0; i < codes_in_word; ++i) {
    const int pair = own.pair(rotation.interleaved, i);
    const pair_frequency frequency = table.at(pair);
#pragma unroll
    for (int k = 0; k < tokens_in_registers; ++k) {
      float cosine = frequency.target_value;
      float sine = frequency.stored_value;
      if constexpr (!Shared) {
        at[k] = rotation.many_streams ? tokens.positions(rotation, rotation.stream_of[pair], k) : at[k];
        quick_cosine_and_sine(rotations_of(rotation.rule, frequency, at[k]), cosine, sine);
        cosine *= rotation.gain;
        sine *= rotation.gain;
      }
      float (&of)[2][codes_in_word] = elements[k].of;
      if (rotation.interleaved) {
        rotate(of[i / 2][i % 2 * 2], of[i / 2][i % 2 * 2 + 1], cosine, sine);
      } else {
        rotate(of[0][i], of[1][i], cosine, sine);
      }
    }
  }
}

/// The words of some tokens.
template <class Codes>
struct token_words {
  typename Codes::bits words[tokens_in_registers][2];
};

/// Where a thread's words lie.
template <class Codes>
struct word_places {
  std::uint8_t* first;  ///< of token 0
  int to_second;        ///< bytes from one half of a head to the other
  std::int64_t stride;  ///< bytes from token to token

  /// @param codes of token 0 of a head
  __device__ word_places(std::uint8_t* codes, const rotation_arguments& rotation)
      : first(codes + threadIdx.x * sizeof(typename Codes::bits)),
        to_second(rotation.pairs / codes_in_word * static_cast<int>(sizeof(typename Codes::bits))),
        stride(rotation.source.token) {}

  /// The same from a later token on.
  __device__ word_places after(int tokens) const {
    word_places later = *this;
    later.first += tokens * stride;
    return later;
  }

  __device__ typename Codes::bits& at(int token, int half) const {
    return *reinterpret_cast<typename Codes::bits*>(first + token * stride + half * to_second);
  }

  /// @param tokens of which the first is token 0 here
  __device__ token_words<Codes> read(const thread_tokens& tokens) const {
    token_words<Codes> read = {};
#pragma unroll
    for (int k = 0; k < tokens_in_registers; ++k) {
      if (tokens.has(k)) {
        read.words[k][0] = at(tokens.token(k), 0);
        read.words[k][1] = at(tokens.token(k), 1);
      }
    }
    return read;
  }

  /// New codes for the elements of a token.
  __device__ void write(int token, const halves& elements, const halves& minimums, const halves& steps_per_unit) const {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float steps[codes_in_word];
#pragma unroll
      for (int i = 0; i < codes_in_word; ++i) {
        steps[i] = (elements.of[h][i] - minimums.of[h][i]) * steps_per_unit.of[h][i];
      }
      at(token, h) = Codes::pack(steps);
    }
  }
};

template <class Codes>
__device__ inline void dequantize(const typename Codes::bits (&words)[2], const halves& scales, const halves& minimums,
                                  halves& elements) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    Codes::unpack(words[h], elements.of[h]);
#pragma unroll
    for (int i = 0; i < codes_in_word; ++i) {
      elements.of[h][i] = elements.of[h][i] * scales.of[h][i] + minimums.of[h][i];
    }
  }
}

/// One number for all four of a half.
__device__ inline halves filled(const float (&values)[2]) {
  halves all;
#pragma unroll
  for (int i = 0; i < 2 * codes_in_word; ++i) {
    all.of[i / codes_in_word][i % codes_in_word] = values[i / codes_in_word];
  }
  return all;
}

/// Four neighbours of a row in either half; zeros where there is no row.
__device__ inline halves read_row(const float* row, const thread_elements& own) {
  halves read = {};
  if (row != nullptr) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const float4 four = *reinterpret_cast<const float4*>(row + own.first[h]);
      read.of[h][0] = four.x;
      read.of[h][1] = four.y;
      read.of[h][2] = four.z;
      read.of[h][3] = four.w;
    }
  }
  return read;
}

}  // namespace kvtransfer::rope::kernels
