// A verdict on moves, as text.

#include <fmt/format.h>

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "kvtransfer/model/verify_moves.hpp"

namespace kvtransfer {

std::string describe(const moves_verdict& verdict) {
  constexpr std::string_view wrong = "  DOES NOT HOLD";
  std::string text = fmt::format("{} in {}: {}{}\n", verdict.model, verdict.dtype, to_string(verdict.verdict),
                                 verdict.reason ? ": " + *verdict.reason : "");
  if (!verdict.checks.empty()) {
    text += fmt::format("{:<22} {:>6} {:>5} {:>9} {:>9} {:>9}\n", "operation", "length", "layer", "error", "floor",
                        "tolerance");
  }
  for (const move_check& check : verdict.checks) {
    const std::size_t layer = check.worst_layer();
    text += fmt::format("{:<22} {:>6} {:>5} {:>9.1e} {:>9.1e} {:>9.1e}{}\n", check.name, check.length, layer,
                        check.errors[layer], check.floors[layer], check.tolerance[layer], check.holds ? "" : wrong);
  }
  for (const greedy_check& said : verdict.greedy) {
    text += fmt::format(
        "greedy, length {}: {} of {} tokens the same, {} undecided, logits off by {:.1e} (floor {:.1e}){}\n",
        said.length, said.tokens - static_cast<std::int64_t>(said.differing.size()), said.tokens, said.undecided.size(),
        said.error, said.floor, said.holds ? "" : wrong);
    if (said.text) {  // which may have several lines
      text += "  " + nlohmann::json(*said.text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    }
  }
  return text;
}

std::string to_json(const moves_verdict& verdict) {
  using json = nlohmann::ordered_json;
  json checks = json::array();
  for (const move_check& each : verdict.checks) {
    checks.push_back({{"name", each.name},
                      {"length", each.length},
                      {"errors", each.errors},
                      {"floors", each.floors},
                      {"tolerance", each.tolerance},
                      {"holds", each.holds}});
  }
  json greedy = json::array();
  for (const greedy_check& each : verdict.greedy) {
    greedy.push_back({{"length", each.length},
                      {"tokens", each.tokens},
                      {"token_ids", each.token_ids},
                      {"text", each.text ? json(*each.text) : json()},
                      {"differing", each.differing},
                      {"undecided", each.undecided},
                      {"error", each.error},
                      {"floor", each.floor},
                      {"holds", each.holds}});
  }
  const json whole{{"verdict", to_string(verdict.verdict)},
                   {"reason", verdict.reason ? json(*verdict.reason) : json()},
                   {"model", verdict.model},
                   {"dtype", verdict.dtype},
                   {"checks", std::move(checks)},
                   {"greedy", std::move(greedy)}};
  return whole.dump(1, ' ', false, json::error_handler_t::replace);
}

}  // namespace kvtransfer
