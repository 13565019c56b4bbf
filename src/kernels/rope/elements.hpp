#pragma once

#include <cstdint>

namespace kvtransfer::rope::kernels {

// Keys as they lie in memory: bits with a name and no arithmetic, so that each instruction set converts them in its own
// way. (fp32 keys are plain float.)

struct bfloat16 {
  std::uint16_t bits;
};

struct float16 {
  std::uint16_t bits;
};

struct float8_e4m3 {
  std::uint8_t bits;
};

struct float8_e5m2 {
  std::uint8_t bits;
};

}  // namespace kvtransfer::rope::kernels
