#include "experiment/trial_json.hpp"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/json_reader.hpp"

namespace kvtransfer::detail {

namespace {

std::vector<double> read_margins(const json_reader& fields) {
  std::vector<double> margins;
  const json_reader list = fields.member("top2_margins");
  list.for_each_item([&](const json_reader& margin) {
    const nlohmann::json& value = margin.value();
    if (!value.is_number() && !value.is_null()) {
      list.refuse_with("a list of numbers", excerpt(value));
    }
    margins.push_back(value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
  });
  return margins;
}

/// All 64 bits. Parsers give numbers from 0 on the unsigned type, programs often the signed one.
std::uint64_t read_seed(const json_reader& seed) {
  return seed.value().is_number_unsigned() ? seed.value().get<std::uint64_t>()
                                           : static_cast<std::uint64_t>(seed.integer(0));
}

slot_range read_positions(const json_reader& pair) {
  const std::vector<std::int64_t> both = pair.integers();
  if (both.size() != 2 || both[1] < 1) {
    pair.refuse_with("[first position, count]", excerpt(pair.value()));
  }
  return {both[0], both[1]};
}

sequence read_sequence(const json_reader& fields) {
  sequence parts;
  for (const json_reader& each : fields.objects("read")) {
    const std::optional<token_role> role = token_role_named(each.text("role"));
    if (!role) {
      each.refuse("role", "a role of tokens");
    }
    sequence_part part{*role, each.member("tokens").integer(), each.boolean("injected")};
    if (!each.member("token_ids").value().is_null()) {
      part.token_ids = each.integers("token_ids");
    }
    each.member("positions").for_each_item([&](const json_reader& pair) {
      part.positions.push_back(read_positions(pair));
    });
    parts.push_back(std::move(part));
  }
  return parts;
}

nlohmann::ordered_json parts_json(const sequence& parts) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const sequence_part& part : parts) {
    nlohmann::ordered_json positions = nlohmann::ordered_json::array();
    for (const slot_range& run : part.positions) {
      positions.push_back({run.begin, run.count});
    }
    const bool named = !part.token_ids.empty() || part.tokens == 0;
    list.push_back({{"role", name_of(part.role)},
                    {"tokens", part.tokens},
                    {"injected", part.injected},
                    {"token_ids", named ? nlohmann::ordered_json(part.token_ids) : nullptr},
                    {"positions", std::move(positions)}});
  }
  return list;
}

}  // namespace

std::string json_text(const nlohmann::ordered_json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

nlohmann::ordered_json to_json_value(const trial_record& trial) {
  return {{"seed", trial.seed},
          {"token_ids", trial.token_ids},
          {"text", trial.text},
          {"markers_found", trial.markers_found},
          {"stop_reason", to_string(trial.stop)},
          {"stalled", trial.stalled},
          {"read", parts_json(trial.read)}};
}

nlohmann::ordered_json margins_to_json(const std::vector<double>& margins) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const double margin : margins) {
    list.push_back(std::isfinite(margin) ? nlohmann::ordered_json(margin) : nlohmann::ordered_json());
  }
  return list;
}

nlohmann::ordered_json full_json(const trial_record& trial) {
  nlohmann::ordered_json value = to_json_value(trial);
  value["forbidden_found"] = trial.forbidden_found;
  value["marker_log_prob"] =
      trial.marker_log_prob ? nlohmann::ordered_json(*trial.marker_log_prob) : nlohmann::ordered_json();
  value["next_token_kl"] =
      trial.next_token_kl ? nlohmann::ordered_json(*trial.next_token_kl) : nlohmann::ordered_json();
  value["top2_margins"] = margins_to_json(trial.top2_margins);
  value["close_calls"] = trial.close_calls;
  value["assumed_frame"] = trial.assumed_frame;
  value["edits"] = trial.edits;
  value["origin"] = to_string(trial.origin);
  return value;
}

/// @throws file_error for a name that there is not
origin_basis read_origin(const json_reader& fields) {
  if (const auto basis = origin_basis_named(fields.text("origin"))) {
    return *basis;
  }
  fields.refuse("origin", "\"recorded\", \"same_weights\" or \"unknown_origin\"");
}

trial_record read_trial(const json_reader& fields) {
  trial_record trial;
  trial.seed = read_seed(fields.member("seed"));
  trial.token_ids = fields.integers("token_ids");
  trial.text = fields.text("text");
  trial.markers_found = fields.texts("markers_found");
  trial.forbidden_found = fields.texts("forbidden_found");
  if (const auto scored = fields.find("marker_log_prob")) {
    trial.marker_log_prob = scored->number();
  }
  if (const auto compared = fields.find("next_token_kl")) {
    trial.next_token_kl = compared->number();
  }
  const std::optional<stop_reason> stop = stop_reason_named(fields.text("stop_reason"));
  if (!stop) {
    fields.refuse("stop_reason", "\"eos\", \"length\" or \"positions\"");
  }
  trial.stop = *stop;
  trial.stalled = fields.boolean("stalled");
  trial.top2_margins = read_margins(fields);
  trial.close_calls = fields.member("close_calls").integer(0);
  trial.read = read_sequence(fields);
  trial.assumed_frame = fields.boolean("assumed_frame");
  trial.edits = fields.texts("edits");
  trial.origin = read_origin(fields);
  return trial;
}

}  // namespace kvtransfer::detail
