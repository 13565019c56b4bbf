#pragma once

#include <string>
#include <string_view>

#include "kvtransfer/cache/model_identity.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// The models that a projector was made for, by the digests of their weights; empty where nobody has said.
struct projector_models {
  std::string source;    ///< whose caches are read
  std::string receiver;  ///< whose caches are written

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
