#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/project/any_projector.hpp"
#include "kvtransfer/project/detail/read_projector.hpp"
#include "kvtransfer/project/detail/write_projector.hpp"
#include "kvtransfer/project/projector_models.hpp"
#include "kvtransfer/project/projectors/fuser.hpp"
#include "kvtransfer/project/projectors/identity.hpp"
#include "kvtransfer/project/projectors/linear.hpp"

namespace kvtransfer {

/// A projector that lay in a folder, and what it was made for.
template <Projector P>
struct stored_projector {
  P projector;              ///< on the CPU its numbers are mapped: read as they are touched
  projector_models models;  ///< see `require_models`
};

/// Writes `projector.json` and `projector.safetensors`, each file atomically. The first names the digest of the second,
/// so that files of two projectors are not taken for one.
/// @param folder made if it is not there
/// @throws file_error if the folder refuses
inline void save_projector(const std::filesystem::path& folder, const projectors::identity& projector,
                           const projector_models& models = {}) {
  detail::write_projector(folder, projector, models, detail::fields_of(projector));
}
/// Likewise. @throws file_error
inline void save_projector(const std::filesystem::path& folder, const projectors::linear& projector,
                           const projector_models& models = {}) {
  detail::write_projector(folder, projector, models, detail::fields_of(projector));
}
/// Likewise. @throws file_error
inline void save_projector(const std::filesystem::path& folder, const projectors::fuser& projector,
                           const projector_models& models = {}) {
  detail::write_projector(folder, projector, models, detail::fields_of(projector));
}

/// Opens a fuser, to go on with its training, say. @param device of its numbers @throws file_error as `open_projector`,
/// and for another kind
[[nodiscard]] inline stored_projector<projectors::fuser> open_fuser(const std::filesystem::path& folder,
                                                                    at::Device device = at::kCPU) {
  const detail::projector_folder files(folder, device);
  files.require_kind(projectors::fuser::name);
  return {detail::checked_digest(files, detail::read_fuser(files)), files.models()};
}

/// Opens a projector of any kind that `save_projector` writes.
/// @param device of its numbers: that of the caches which it is to read
/// @throws file_error naming file and field or tensor: a tensor that is missing, surplus, or of another shape or type;
///         a field that is unknown, missing or out of its range; files of two projectors
[[nodiscard]] inline stored_projector<any_projector> open_projector(const std::filesystem::path& folder,
                                                                    at::Device device = at::kCPU) {
  const detail::projector_folder files(folder, device);
  const std::string kind = files.kind();
  if (kind == projectors::identity::name) {
    return {detail::checked_digest(files, detail::read_identity(files)), files.models()};
  }
  if (kind == projectors::linear::name) {
    return {detail::checked_digest(files, detail::read_linear(files)), files.models()};
  }
  files.require_kind(projectors::fuser::name);
  return {detail::checked_digest(files, detail::read_fuser(files)), files.models()};
}

}  // namespace kvtransfer
