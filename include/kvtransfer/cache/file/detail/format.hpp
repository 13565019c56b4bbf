#pragma once

#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "kvtransfer/tensor/safetensors_dtype.hpp"

/// What a cache file holds and under which names: version 2 of the format, a safetensors file that any reader opens.
///
/// | tensor | dtype | shape |
/// |---|---|---|
/// | `layers.N.key`, `layers.N.value` | any floating | `[batch, kv_heads, seq, head_dim]`, own seq in every layer |
/// | `frames.F.positions` | I64 | `[streams, batch, kv_heads or 1, seq]`, tokens; padding reads 0 |
/// | `frames.F.states` | I32 | `[batch, kv_heads or 1, seq]`: rotated by specification 0, 1, …; -1 never rotated; -2
/// padding |
/// | `token_ids` | I64 | `[batch, seq]`, -1 for padding: the text, where every layer holds the same |
/// | `layers.N.token_ids` | I64 | that of one layer, where layers hold different tokens; absent where it is not known |
///
/// The metadata entry `kvtransfer.frame` is JSON: which model wrote the cache, which frame each layer reads, every
/// frame's rotary specifications, and whether there are checksums. These are in `kvtransfer.checksum`, JSON: the CRC-32
/// of every tensor's bytes and of the other entries' texts, and one over all names, shapes and entries of this table,
/// see `header_checksum`. Tensors and metadata under other names are left alone.
///
/// Version 1, which is still read, says less: its model is a fingerprint that many models share, so the origin counts
/// as unknown; specifications, named `regimes`, have no `length`; and names are under no checksum.
///
/// A quantized cache has a metadata entry `kvtransfer.quantized` besides, JSON: how each layer's keys and values were
/// quantized, and the target frame of each layer's keys (`kvtransfer.frame` has the one that they are stored in).
/// Instead of `layers.N.key` it has these, and as many for `layers.N.value`:
///
/// | tensor | dtype | shape |
/// |---|---|---|
/// | `layers.N.key.codes` | U8, F8_E4M3 or F8_E5M2 | `[batch, kv_heads, seq, head_dim / codes a byte]` |
/// | `layers.N.key.scales` | F32 | per token `[batch, kv_heads, seq, groups]`, per channel `[…, groups, head_dim]` |
/// | `layers.N.key.minimums` | F32 | as the scales; integer codes alone |
/// | `layers.N.key.carried_error` | F32 | as the scales; only where codes have been moved |
namespace kvtransfer::detail::cache_format {

inline constexpr std::int64_t version = 2;
/// The oldest version that is read.
inline constexpr std::int64_t oldest_version = 1;
/// How keys and values are arranged: the name of a layout. Both versions know this one.
inline constexpr std::string_view layout = "batch_heads_seq_dim";

inline constexpr std::string_view entry_prefix = "kvtransfer.";
inline constexpr std::string_view frame_entry = "kvtransfer.frame";
inline constexpr std::string_view checksum_entry = "kvtransfer.checksum";
inline constexpr std::string_view quantized_entry = "kvtransfer.quantized";

inline constexpr std::string_view token_ids = "token_ids";
std::string layer_token_ids(std::integral auto layer) { return fmt::format("layers.{}.token_ids", layer); }
std::string key(std::integral auto layer) { return fmt::format("layers.{}.key", layer); }
std::string value(std::integral auto layer) { return fmt::format("layers.{}.value", layer); }
std::string positions(std::integral auto frame) { return fmt::format("frames.{}.positions", frame); }
std::string states(std::integral auto frame) { return fmt::format("frames.{}.states", frame); }

/// Whether a tensor of that name has to be one of the above.
inline bool is_reserved(std::string_view tensor) {
  return tensor.starts_with("layers.") || tensor.starts_with("frames.") || tensor == token_ids;
}

/// Whether keys and values may be of that type.
constexpr bool is_floating(safetensors_dtype dtype) {
  const std::string_view name = describe(dtype).name;
  return name.starts_with('F') || name == "BF16";
}

/// Farthest position from 0, tokens: angles are computed in double, which counts no further.
inline constexpr std::int64_t largest_position = std::int64_t{1} << 53;

/// Rows of positions in the whole file, over frames, streams, texts and heads. A row costs memory even where it has no
/// slot, and then it costs the file nothing: a few bytes could ask for any amount.
inline constexpr std::int64_t most_rows = std::int64_t{1} << 22;

}  // namespace kvtransfer::detail::cache_format
