#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/kernels/turn_cuda.cuh"
#include "kvtransfer/rope/kernels/turn_launch.hpp"

namespace kvtransfer::rope::kernels {
namespace {

std::int64_t element_size(element_type element) {
  switch (element) {
    case element_type::float32:
      return 4;
    case element_type::bfloat16:
    case element_type::float16:
      return 2;
    default:
      return 1;
  }
}

/// The longest word, in bytes, that lies aligned at every place where a thread reads or writes: 16, 8, or one element.
std::int64_t word_size(const turn_arguments& turn, const layer_keys* layers, std::int64_t count) {
  const std::int64_t size = element_size(turn.element);
  std::int64_t bits = turn.pairs * size;
  for (const key_strides& strides : {turn.source, turn.destination}) {
    bits |= (turn.batch > 1 || turn.rows != nullptr ? strides.batch : 0) * size;
    bits |= (turn.kv_heads > 1 ? strides.head : 0) * size;
    bits |= (turn.seq > 1 ? strides.token : 0) * size;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    bits |= reinterpret_cast<std::intptr_t>(layers[i].source) | reinterpret_cast<std::intptr_t>(layers[i].destination);
  }
  return bits % 16 == 0 ? 16 : bits % 8 == 0 ? 8 : size;
}

template <class Element, class Word, bool Interleaved, angle_rule Rule, bool Streams>
void launch(const cuda_turn& parameters, unsigned layers) {
  const unsigned threads_per_row = static_cast<unsigned>(parameters.turn.pairs / elements_in<Word, Element>);
  const dim3 block(threads_per_row, threads_per_block / threads_per_row);
  const unsigned rows_per_block = block.y * rows_per_thread<Element>;
  const dim3 grid((parameters.rows + rows_per_block - 1) / rows_per_block, layers);
  turn_kernel<Element, Word, Interleaved, Rule, Streams>
      <<<grid, block, 0, c10::cuda::getCurrentCUDAStream()>>>(parameters);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

template <class Element, class Word, bool Interleaved, angle_rule Rule>
void launch_by_streams(const cuda_turn& parameters, unsigned layers) {
  parameters.turn.many_streams ? launch<Element, Word, Interleaved, Rule, true>(parameters, layers)
                               : launch<Element, Word, Interleaved, Rule, false>(parameters, layers);
}

template <class Element, class Word, bool Interleaved>
void launch_by_rule(const cuda_turn& parameters, unsigned layers) {
  switch (parameters.turn.rule) {
    case angle_rule::shared:
      return launch<Element, Word, Interleaved, angle_rule::shared, false>(parameters, layers);
    case angle_rule::difference:
      return launch_by_streams<Element, Word, Interleaved, angle_rule::difference>(parameters, layers);
    case angle_rule::two_frequencies:
      return launch_by_streams<Element, Word, Interleaved, angle_rule::two_frequencies>(parameters, layers);
    case angle_rule::model_faithful:
      return launch_by_streams<Element, Word, Interleaved, angle_rule::model_faithful>(parameters, layers);
  }
}

template <class Element, class Word>
void launch_by_pairing(const cuda_turn& parameters, unsigned layers) {
  parameters.turn.interleaved ? launch_by_rule<Element, Word, true>(parameters, layers)
                              : launch_by_rule<Element, Word, false>(parameters, layers);
}

/// @tparam Single the integer that is as long as one element
template <class Element, class Single>
void launch_by_word(const cuda_turn& parameters, unsigned layers, std::int64_t word) {
  if (word == 16) {
    launch_by_pairing<Element, uint4>(parameters, layers);
  } else if (word == 8) {
    launch_by_pairing<Element, uint2>(parameters, layers);
  } else {
    launch_by_pairing<Element, Single>(parameters, layers);
  }
}

void launch_by_element(const cuda_turn& parameters, unsigned layers, std::int64_t word) {
  switch (parameters.turn.element) {
    case element_type::float32:
      return launch_by_word<float, std::uint32_t>(parameters, layers, word);
    case element_type::bfloat16:
      return launch_by_word<bfloat16, std::uint16_t>(parameters, layers, word);
    case element_type::float16:
      return launch_by_word<float16, std::uint16_t>(parameters, layers, word);
    case element_type::float8_e4m3:
      return launch_by_word<float8_e4m3, std::uint8_t>(parameters, layers, word);
    case element_type::float8_e5m2:
      return launch_by_word<float8_e5m2, std::uint8_t>(parameters, layers, word);
  }
}

}  // namespace

void turn_on_cuda(const turn_arguments& arguments, const layer_keys* layers, std::int64_t count) {
  const std::int64_t rows = arguments.batch * arguments.kv_heads * arguments.seq;
  if (rows > std::numeric_limits<std::int32_t>::max()) {
    fail<shape_error>("turn", "keys", "batch * kv_heads * seq below 2^31 in a layer on CUDA", fmt::format("{}", rows));
  }
  cuda_turn parameters{arguments,
                       static_cast<unsigned>(arguments.seq),
                       static_cast<unsigned>(arguments.kv_heads),
                       static_cast<unsigned>(rows),
                       {}};
  for (std::int64_t first = 0; first < count; first += layers_per_launch) {
    const std::int64_t many = std::min<std::int64_t>(count - first, layers_per_launch);
    std::copy_n(layers + first, many, parameters.layers);
    launch_by_element(parameters, static_cast<unsigned>(many), word_size(arguments, layers + first, many));
  }
}

}  // namespace kvtransfer::rope::kernels
