#include "gguf_dequantize.hpp"

#include <array>
#include <bit>
#include <cstdint>

#include "gguf_scalar.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

namespace {

constexpr std::size_t block_elements = 32;  // of the legacy types
constexpr std::size_t super_block = 256;    // of the K types
constexpr std::size_t scale_bytes = 12;     // of Q4_K and Q5_K

unsigned byte_at(const std::byte* bytes, std::size_t i) { return std::to_integer<unsigned>(bytes[i]); }
float signed_at(const std::byte* bytes, std::size_t i) {
  return static_cast<float>(read_scalar<std::int8_t>(bytes + i));
}

float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1fU;
  const std::uint32_t mantissa = half & 0x3ffU;
  if (exponent == 0) {
    const float magnitude =
        static_cast<float>(mantissa) * 0x1p-24F;  // exact: the denormals of 16 bits are normal in 32
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide = exponent == 0x1f ? 0xffU : exponent + 112;
  return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
}

float half_at(const std::byte* bytes) { return half_to_float(read_scalar<std::uint16_t>(bytes)); }

/// The fifth bits of 32 codes, moved to where they belong in code `i`.
unsigned fifth_bit(std::uint32_t bits, std::size_t i) { return ((bits >> i) & 1U) << 4; }

void q4_0(const std::byte* block, float* out) {
  const float scale = half_at(block);
  for (std::size_t i = 0; i < 16; ++i) {
    const unsigned pair = byte_at(block + 2, i);
    out[i] = scale * static_cast<float>(static_cast<int>(pair & 15) - 8);
    out[i + 16] = scale * static_cast<float>(static_cast<int>(pair >> 4) - 8);
  }
}

void q4_1(const std::byte* block, float* out) {
  const float scale = half_at(block);
  const float least = half_at(block + 2);
  for (std::size_t i = 0; i < 16; ++i) {
    const unsigned pair = byte_at(block + 4, i);
    out[i] = scale * static_cast<float>(pair & 15) + least;
    out[i + 16] = scale * static_cast<float>(pair >> 4) + least;
  }
}

void q5_0(const std::byte* block, float* out) {
  const float scale = half_at(block);
  const auto high = read_scalar<std::uint32_t>(block + 2);
  for (std::size_t i = 0; i < 16; ++i) {
    const unsigned pair = byte_at(block + 6, i);
    out[i] = scale * static_cast<float>(static_cast<int>((pair & 15) | fifth_bit(high, i)) - 16);
    out[i + 16] = scale * static_cast<float>(static_cast<int>((pair >> 4) | fifth_bit(high, i + 16)) - 16);
  }
}

void q5_1(const std::byte* block, float* out) {
  const float scale = half_at(block);
  const float least = half_at(block + 2);
  const auto high = read_scalar<std::uint32_t>(block + 4);
  for (std::size_t i = 0; i < 16; ++i) {
    const unsigned pair = byte_at(block + 8, i);
    out[i] = scale * static_cast<float>((pair & 15) | fifth_bit(high, i)) + least;
    out[i + 16] = scale * static_cast<float>((pair >> 4) | fifth_bit(high, i + 16)) + least;
  }
}

void q8_0(const std::byte* block, float* out) {
  const float scale = half_at(block);
  for (std::size_t i = 0; i < block_elements; ++i) {
    out[i] = signed_at(block + 2, i) * scale;
  }
}

/// Scale and minimum of the eight groups of 32 in a super-block.
struct group_scales {
  std::array<float, 8> scale;
  std::array<float, 8> least;
};

/// Six bits each in twelve bytes: groups 0 to 3 in the low bits of bytes 0 to 3 (scales) and 4 to 7 (minima); groups 4
/// to 7 have their low four bits in bytes 8 to 11 and their upper two on top of the others'.
group_scales unpack_scales(const std::byte* block) {
  const float scale = half_at(block);
  const float least = half_at(block + 2);
  const std::byte* packed = block + 4;
  group_scales groups;
  for (std::size_t i = 0; i < 4; ++i) {
    const unsigned low = byte_at(packed, i);
    const unsigned middle = byte_at(packed, i + 4);
    const unsigned top = byte_at(packed, i + 8);
    groups.scale[i] = scale * static_cast<float>(low & 0x3f);
    groups.least[i] = least * static_cast<float>(middle & 0x3f);
    groups.scale[i + 4] = scale * static_cast<float>((top & 0x0f) | ((low >> 2) & 0x30));
    groups.least[i + 4] = least * static_cast<float>((top >> 4) | ((middle >> 2) & 0x30));
  }
  return groups;
}

void q4_k(const std::byte* block, float* out) {
  const group_scales groups = unpack_scales(block);
  const std::byte* codes = block + 4 + scale_bytes;
  for (std::size_t pair = 0; pair < 4; ++pair) {
    for (std::size_t i = 0; i < 32; ++i) {
      const unsigned both = byte_at(codes, 32 * pair + i);
      out[64 * pair + i] = groups.scale[2 * pair] * static_cast<float>(both & 15) - groups.least[2 * pair];
      out[64 * pair + 32 + i] = groups.scale[2 * pair + 1] * static_cast<float>(both >> 4) - groups.least[2 * pair + 1];
    }
  }
}

void q5_k(const std::byte* block, float* out) {
  const group_scales groups = unpack_scales(block);
  const std::byte* high = block + 4 + scale_bytes;
  const std::byte* codes = high + 32;
  for (std::size_t group = 0; group < 8; ++group) {
    for (std::size_t i = 0; i < 32; ++i) {
      const unsigned both = byte_at(codes, 32 * (group / 2) + i);
      const unsigned code = (group % 2 == 0 ? both & 15 : both >> 4) | fifth_bit(byte_at(high, i), group);
      out[32 * group + i] = groups.scale[group] * static_cast<float>(code) - groups.least[group];
    }
  }
}

void q6_k(const std::byte* block, float* out) {
  const std::byte* low = block;
  const std::byte* high = block + 128;
  const std::byte* scales = block + 192;
  const float scale = half_at(block + 208);
  for (std::size_t i = 0; i < super_block; ++i) {
    // Each half of 128 codes has 64 bytes of low and 32 of high bits: 32 codes by 32, the nibbles and pairs of bits
    // rise.
    const std::size_t half = i / 128;
    const std::size_t quarter = i / 32 % 4;
    const unsigned nibbles = byte_at(low, 64 * half + 32 * (quarter % 2) + i % 32);
    const unsigned bits = (byte_at(high, 32 * half + i % 32) >> (2 * quarter)) & 3;
    const int code = static_cast<int>((quarter < 2 ? nibbles & 15 : nibbles >> 4) | (bits << 4)) - 32;
    out[i] = scale * signed_at(scales, i / 16) * static_cast<float>(code);
  }
}

template <void (*Block)(const std::byte*, float*)>
void for_each_block(gguf_tensor_type type, std::span<const std::byte> blocks, float* out) {
  const gguf_block_format& format = describe(type);
  for (std::size_t at = 0; at < blocks.size(); at += format.bytes, out += format.elements) {
    Block(blocks.data() + at, out);
  }
}

void f32(const std::byte* element, float* out) { *out = read_scalar<float>(element); }
void f16(const std::byte* element, float* out) { *out = half_at(element); }
void bf16(const std::byte* element, float* out) {
  *out = std::bit_cast<float>(static_cast<std::uint32_t>(read_scalar<std::uint16_t>(element)) << 16);
}

}  // namespace

void dequantize(gguf_tensor_type type, std::span<const std::byte> blocks, std::span<float> elements) {
  float* const out = elements.data();
  switch (type) {
    case gguf_tensor_type::f32:
      return for_each_block<f32>(type, blocks, out);
    case gguf_tensor_type::f16:
      return for_each_block<f16>(type, blocks, out);
    case gguf_tensor_type::bf16:
      return for_each_block<bf16>(type, blocks, out);
    case gguf_tensor_type::q4_0:
      return for_each_block<q4_0>(type, blocks, out);
    case gguf_tensor_type::q4_1:
      return for_each_block<q4_1>(type, blocks, out);
    case gguf_tensor_type::q5_0:
      return for_each_block<q5_0>(type, blocks, out);
    case gguf_tensor_type::q5_1:
      return for_each_block<q5_1>(type, blocks, out);
    case gguf_tensor_type::q8_0:
      return for_each_block<q8_0>(type, blocks, out);
    case gguf_tensor_type::q4_k:
      return for_each_block<q4_k>(type, blocks, out);
    case gguf_tensor_type::q5_k:
      return for_each_block<q5_k>(type, blocks, out);
    case gguf_tensor_type::q6_k:
      return for_each_block<q6_k>(type, blocks, out);
    default:
      fail<value_error>("dequantize", "type", readable_gguf_tensor_types(), describe(type).name);
  }
}

}  // namespace kvtransfer::detail
