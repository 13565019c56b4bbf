#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "experiment/conditions/source_projection.hpp"
#include "kvtransfer/experiment/condition_point.hpp"
#include "kvtransfer/experiment/conditions.hpp"

namespace kvtransfer::conditions {

namespace {

using shared_projection = std::shared_ptr<detail::source_projection>;

any_condition projected_under(cache_control control, condition_description named, const shared_projection& by) {
  named.id = fmt::format("{}:{}", named.id, by->argument());
  named.title = fmt::format(fmt::runtime(named.title), by->name());
  condition_point point;
  point.control = control;
  point.projection = by;
  return at_point(std::move(point), std::move(named));
}

/// The four; their ids lack the argument, their titles the projector's name.
std::vector<std::pair<cache_control, condition_description>> kinds() {
  return {{cache_control::none,
           {.id = "projected",
            .title = "Projected by {}",
            .injected = "what a projector makes of the source's cache; before that, BOS and dots stand in the source's "
                        "place, or its text where the projector was made on top of that; the target is fed at the "
                        "positions that follow",
            .tells = "whether a projector carries the source across",
            .reference = "text_oracle"}},
          {cache_control::other_source,
           {.id = "projected_other_source",
            .title = "Projected by {}, another test's source",
            .injected = "what the projector makes of the cache of another test's source, of equal length where there "
                        "is one; the target is fed at the positions that follow",
            .tells = "what any projection does: content is what the right one does beyond it",
            .reference = "baseline"}},
          {cache_control::zero,
           {.id = "projected_zero",
            .title = "Projected by {}, zeros",
            .injected = "zeros of the projection's shape; the target is fed at the positions that follow",
            .tells = "what slots without anything in them do",
            .reference = "baseline"}},
          {cache_control::noise,
           {.id = "projected_noise",
            .title = "Projected by {}, random noise",
            .injected = "random keys and values with the projection's mean and deviation per layer and head; the "
                        "target is fed at the positions that follow",
            .tells = "what a projection without content does",
            .reference = "baseline",
            .random = true}}};
}

}  // namespace

std::vector<std::pair<std::string, condition_maker>> projections() {
  const auto opened = std::make_shared<std::map<std::string, shared_projection>>();
  std::vector<std::pair<std::string, condition_maker>> makers;
  for (auto& [control, named] : kinds()) {
    makers.emplace_back(named.id, [opened, control = control, named = named](const std::string& argument) {
      shared_projection& by = (*opened)[argument];
      if (by == nullptr) {
        by = std::make_shared<detail::source_projection>(argument);
      }
      return projected_under(control, named, by);
    });
  }
  return makers;
}

}  // namespace kvtransfer::conditions
