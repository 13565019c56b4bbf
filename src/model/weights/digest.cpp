#include "model/weights/digest.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <bit>

namespace kvtransfer::detail {

struct digest::state {
  XXH3_state_t hash;
};

digest::digest() : state_(std::make_unique<state>()) { XXH3_128bits_reset(&state_->hash); }
digest::digest(digest&&) noexcept = default;
digest& digest::operator=(digest&&) noexcept = default;
digest::~digest() = default;

void digest::add(std::span<const std::byte> bytes) { XXH3_128bits_update(&state_->hash, bytes.data(), bytes.size()); }

void digest::add(std::uint64_t number) {
  static_assert(std::endian::native == std::endian::little);
  add(std::as_bytes(std::span(&number, 1)));
}

void digest::add(std::string_view text) {
  add(static_cast<std::uint64_t>(text.size()));
  add(std::as_bytes(std::span(text)));
}

std::string digest::text() const {
  const XXH128_hash_t value = XXH3_128bits_digest(&state_->hash);
  return fmt::format("{:016x}{:016x}", value.high64, value.low64);
}

}  // namespace kvtransfer::detail
