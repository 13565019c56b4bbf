#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/registry.hpp"
#include "kvtransfer/experiment/any_condition.hpp"
#include "kvtransfer/experiment/condition_registry.hpp"
#include "kvtransfer/model/config.hpp"

namespace kvtransfer {

/// One step of a sweep: what changes `transfer`, and where the step lies on the sweep's axes.
struct sweep_step {
  std::string words;                                        ///< as behind a condition's plus sign: `layers:2`
  std::vector<std::pair<std::string, std::string>> levels;  ///< by axis: `layer` 2, `way` only
};

/// Ways to walk through a cache part by part, by name. Where a step names a part it goes both ways: only that part
/// injected, which shows what suffices, and all but it, which shows what is needed.
///
/// Source: Zhang & Nanda, arXiv 2309.16042: denoising shows sufficiency, noising necessity.
class sweep_registry {
 public:
  /// The steps through the cache of one model.
  using maker = std::function<std::vector<sweep_step>(const model_config& config)>;

  /// `layers`, `layer_ranges` (two layers or more from the first on, or up to the last), `heads` (a KV head in all
  /// layers), `halves` (keys, values), `layer_halves`, `layer_heads`, `layer_head_halves`, `position_error` (keys up to
  /// 32 tokens from where they stood), `dose` (a blend with another test's cache), `cache_precision`.
  [[nodiscard]] static sweep_registry standard();

  /// @throws value_error if the name is empty or taken
  void add(std::string name, maker make) { sweeps_.add(std::move(name), std::move(make)); }

  /// All names, for help.
  [[nodiscard]] std::vector<std::string> names() const { return sweeps_.names(); }

  /// The sweeps' names in a comma-separated list. @throws value_error for one that is not known, listing those that are
  [[nodiscard]] std::vector<std::string> parse(std::string_view list) const;

  /// A condition for every step of the sweeps named, with the sweep and the step's levels in `describe().factors`.
  /// @throws value_error for an unknown sweep
  [[nodiscard]] std::vector<any_condition> conditions(const std::vector<std::string>& sweeps,
                                                      const model_config& config,
                                                      const condition_registry& known) const;

 private:
  registry<maker> sweeps_{"sweep", "name"};
};

}  // namespace kvtransfer
