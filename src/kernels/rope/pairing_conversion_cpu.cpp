#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

#include "kernels/rope/pairing_conversion.hpp"
#include "kernels/words.hpp"

namespace kvtransfer::rope::kernels {
namespace {

template <class Word>
void convert_head(const pairing_conversion& conversion, Word* elements) {
  Word copy[2 * max_pairs];
  std::copy_n(elements, 2 * conversion.pairs, copy);
  const std::int32_t pairs = conversion.pairs;
  const std::int32_t step = conversion.to_interleaved ? 1 : 2;
  const std::int32_t second = conversion.to_interleaved ? pairs : 1;
  const std::int32_t new_step = conversion.to_interleaved ? 2 : 1;
  const std::int32_t new_second = conversion.to_interleaved ? 1 : pairs;
  for (std::int32_t i = 0; i < pairs; ++i) {
    elements[i * new_step] = copy[i * step];
    elements[i * new_step + new_second] = copy[i * step + second];
  }
}

template <class Word>
void convert_layers(const pairing_conversion& conversion, void* const* layers, std::int64_t count) {
  constexpr std::int64_t heads_worth_a_thread = 512;
  const std::int64_t per_layer = conversion.batch * conversion.kv_heads * conversion.seq;
  at::parallel_for(0, count * per_layer, heads_worth_a_thread, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t token = i % conversion.seq;
      const std::int64_t head = i / conversion.seq % conversion.kv_heads;
      const std::int64_t batch = i % per_layer / conversion.seq / conversion.kv_heads;
      convert_head(conversion, static_cast<Word*>(layers[i / per_layer]) + batch * conversion.strides.batch +
                                   head * conversion.strides.head + token * conversion.strides.token);
    }
  });
}

}  // namespace

void convert_pairing_on_cpu(const pairing_conversion& conversion, void* const* layers, std::int64_t count) {
  kvtransfer::kernels::with_word(conversion.element_size,
                                 [&](auto word) { convert_layers<decltype(word)>(conversion, layers, count); });
}

}  // namespace kvtransfer::rope::kernels
