#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kvtransfer/cache/model_identity.hpp"
#include "kvtransfer/core/enum_names.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// What the receiver has read in the source's place, before anything is projected into its cache.
enum class receiver_reading : std::uint8_t {
  filler,  ///< as many tokens that tell nothing: what it learns of the source comes through the projector
  text,    ///< the source's text itself, as Cache-to-Cache has it: the projection comes on top of that
};

namespace detail {
inline constexpr std::array<std::string_view, 2> receiver_reading_names{"filler", "text"};
}

/// `filler` or `text`, as in files.
[[nodiscard]] constexpr std::string_view to_string(receiver_reading reading) {
  return name_of(detail::receiver_reading_names, reading);
}

/// The reading of a name; nothing where there is none.
[[nodiscard]] constexpr std::optional<receiver_reading> receiver_reading_named(std::string_view name) {
  return value_named<receiver_reading>(detail::receiver_reading_names, name);
}

/// Which token of the source stands for a token of the receiver, where the two have different tokenizers.
enum class token_pairing : std::uint8_t {
  first,    ///< the first of those that the receiver's token is in the source's tokenizer: the source reads these
  longest,  ///< likewise, the longest
  text,     ///< the one that ends where it ends: each model reads the text in its own tokens
};

namespace detail {
inline constexpr std::array<std::string_view, 3> token_pairing_names{"first", "longest", "text"};
}

/// `first`, `longest` or `text`, as in files.
[[nodiscard]] constexpr std::string_view to_string(token_pairing pairing) {
  return name_of(detail::token_pairing_names, pairing);
}

/// The pairing of a name; nothing where there is none.
[[nodiscard]] constexpr std::optional<token_pairing> token_pairing_named(std::string_view name) {
  return value_named<token_pairing>(detail::token_pairing_names, name);
}

/// What a projector was made for: two models, by the digests of their weights, empty where nobody has said; what the
/// receiver reads, and how tokens are paired.
struct projector_models {
  std::string source;                                   ///< whose caches are read
  std::string receiver;                                 ///< whose caches are written
  receiver_reading reading = receiver_reading::filler;  ///< of the receiver, in the source's place
  token_pairing tokens = token_pairing::first;          ///< of the two

  friend bool operator==(const projector_models&, const projector_models&) = default;
};

/// @param where file or operation that complains
/// @throws frame_error naming both digests where a model is another than the projector was made for; what either side
///         does not know is no difference
inline void require_models(const projector_models& expected, const model_identity& source,
                           const model_identity& receiver, std::string_view where) {
  const auto check = [&](std::string_view what, const std::string& wanted, const model_identity& found) {
    require<frame_error>(wanted.empty() || !found.is_known() || wanted == found.digest, where, what,
                         formatted("model {}", wanted), formatted("model {}", found.digest));
  };
  check("source", expected.source, source);
  check("receiver", expected.receiver, receiver);
}

}  // namespace kvtransfer
