// Which types are projectors, and which only look like one.

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kvtransfer/project/any_projector.hpp"
#include "kvtransfer/project/concepts.hpp"
#include "kvtransfer/project/projectors/fuser.hpp"
#include "kvtransfer/project/projectors/identity.hpp"
#include "kvtransfer/project/projectors/linear.hpp"

namespace kvtransfer::test::projector_lookalikes {

using kvtransfer::Projector;

struct own_projector {
  static constexpr std::string_view name = "own";
  kvtransfer::projection_effect effect() const;
  kvtransfer::key_rotation rotation() const;
  std::int64_t layers() const;
  std::vector<std::int64_t> source_layers(std::int64_t layer) const;
  kvtransfer::layer_kv project(std::int64_t layer, const kvtransfer::projection_input& input) const;
  std::string digest() const;
};

struct without_digest {
  static constexpr std::string_view name = "nobody can tell which";
  kvtransfer::projection_effect effect() const;
  kvtransfer::key_rotation rotation() const;
  std::int64_t layers() const;
  std::vector<std::int64_t> source_layers(std::int64_t layer) const;
  kvtransfer::layer_kv project(std::int64_t layer, const kvtransfer::projection_input& input) const;
};

struct of_unsaid_rotation {
  static constexpr std::string_view name = "does not say which keys it reads";
  kvtransfer::projection_effect effect() const;
  std::int64_t layers() const;
  std::vector<std::int64_t> source_layers(std::int64_t layer) const;
  kvtransfer::layer_kv project(std::int64_t layer, const kvtransfer::projection_input& input) const;
  std::string digest() const;
};

struct changing : own_projector {
  kvtransfer::layer_kv project(std::int64_t layer, const kvtransfer::projection_input& input);
};

struct of_keys_alone : own_projector {
  at::Tensor project(std::int64_t layer, const kvtransfer::projection_input& input) const;
};

static_assert(Projector<kvtransfer::projectors::fuser>);
static_assert(Projector<kvtransfer::projectors::identity>);
static_assert(Projector<kvtransfer::projectors::linear>);
static_assert(Projector<kvtransfer::any_projector>);
static_assert(Projector<own_projector>);
static_assert(!Projector<without_digest>);
static_assert(!Projector<of_unsaid_rotation>);
static_assert(!Projector<changing>);
static_assert(!Projector<of_keys_alone>);

static_assert(std::is_convertible_v<own_projector, kvtransfer::any_projector>);
static_assert(!std::is_constructible_v<kvtransfer::any_projector, without_digest>);

}  // namespace kvtransfer::test::projector_lookalikes
