#include "kvtransfer/model/verify_moves.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/std.h>
#include <ATen/ops/topk.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/concat.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/core/alike.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/session.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "model/scratch_folder.hpp"
#include "model/widened.hpp"

namespace kvtransfer {

namespace {

constexpr std::string_view where = "verify_moves";
constexpr double slack = 4;  // errors may be so many times what the type itself costs: a moved key is rounded once more
constexpr double float_rounding = 0x1p-24;

std::string dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    default:
      return dtype == at::kDouble ? "float64" : at::toString(dtype);
  }
}

/// Radians per token of the pair that turns fastest.
double fastest(const rotary_specification& specification) {
  double most = 0;
  for (const float frequency : specification.inv_freq) {
    most = std::max(most, std::abs(static_cast<double>(frequency)));
  }
  return most;
}

/// 0 of nothing is 0.
double share(double part, double whole) { return part == 0 ? 0 : part / whole; }

/// What is no number is larger than any: `std::max` would let it pass.
double larger(double a, double b) { return std::isnan(b) || b > a ? b : a; }

/// The keys' relative error, layer by layer.
std::vector<double> key_errors(const cache& found, const cache& expected) {
  std::vector<double> errors;
  const cache_view<> ours = found.view();
  const cache_view<> theirs = expected.view();
  for (std::int64_t layer = 0; layer < ours.layers(); ++layer) {
    const at::Tensor a = ours.layer(layer).keys().cpu().to(at::kDouble);  // what was loaded is on the CPU
    const at::Tensor b = theirs.layer(layer).keys().cpu().to(at::kDouble);
    errors.push_back(share(a.sub(b).norm().item<double>(), b.norm().item<double>()));
  }
  return errors;
}

class move_verifier {
 public:
  move_verifier(const causal_lm& model, const verify_moves_settings& settings)
      : model_(&model), settings_(&settings), ids_(settings.token_ids) {
    require_settings();
    if (ids_.empty()) {
      draw_ids();
    }
    (void)read(model, 1, 0);  // refuses, before anything is copied
    wide_ = detail::widened(model);
  }

  [[nodiscard]] std::vector<move_check> checks(std::int64_t length) const {
    const std::int64_t delta = settings_->delta;
    const cache here = taken(read(*model_, length, 0));
    const cache expected = read(*model_, length, delta);
    const std::vector<double> floors =
        larger_ones(key_errors(here, read(wide_, length, 0)), key_errors(expected, read(wide_, length, delta)));
    const bool same = rotary_at(length) == rotary_at(delta + length);
    const auto moved = [&](auto&& move) {
      cache copy = here.clone();
      if (!same) {
        copy.reframe(rotary_at(delta + length));
      }
      move(copy);
      copy.materialize();
      return copy;
    };
    const position_map there = position_map::consecutive(delta, length);
    const auto round = [&](cache& keys) {
      keys.unrotate();
      keys.materialize();
      keys.remap(there);
      keys.rotate(claimed(rotary_at(delta + length)));
    };
    // What the layers above the first read depends on the frequencies: where those change, the first can be compared.
    const std::size_t compared = same ? floors.size() : 1;
    const auto check = [&](const char* name, const cache& found, const cache& right) {
      return checked(name, length, key_errors(found, right), floors, compared);
    };
    const cache shifted = moved([&](cache& keys) { keys.shift(delta); });
    std::vector<move_check> all{check("shift", shifted, expected),
                                check("remap", moved([&](cache& keys) { keys.remap(there); }), expected),
                                check("un-rotate, rotate", moved(round), expected)};
    if (same) {
      all.push_back(check("cut, close the gap", cut(here, taken(read(*model_, length, delta))), here));
    }
    all.push_back(saved_and_loaded(shifted, length));
    return all;
  }

  [[nodiscard]] greedy_check greedy(std::int64_t length) const {
    cache source = taken(read(*model_, length - 1, 0));
    source.shift(settings_->delta);
    const cache prefilled = read(*model_, length - 1, settings_->delta);
    const cache wide_prefilled = read(wide_, length - 1, settings_->delta);
    const std::vector<std::vector<std::int64_t>> last{{ids_[static_cast<std::size_t>(length) - 1]}};
    session moved(*model_, prepend(source.view(), last), settings_->tokens);
    session expected(*model_, prepend(prefilled.view(), last), settings_->tokens);
    session exact(wide_, prepend(wide_prefilled.view(), last), settings_->tokens);
    greedy_check said{.length = length, .tokens = settings_->tokens};
    for (std::int64_t number = 0; number < settings_->tokens; ++number) {
      const auto logits_of = [](const session& running) { return running.logits()[0].to(at::kDouble); };
      const at::Tensor ours = logits_of(moved);
      const at::Tensor theirs = logits_of(expected);
      const double spread = theirs.std().item<double>();
      const double off = ours.sub(theirs).abs().max().item<double>();
      said.error = larger(said.error, share(off, spread));
      said.floor = larger(said.floor, share(theirs.sub(logits_of(exact)).abs().max().item<double>(), spread));
      const at::Tensor best = std::get<0>(theirs.topk(2));
      const auto token = theirs.argmax().item<std::int64_t>();
      if (ours.argmax().item<std::int64_t>() != token) {
        said.differing.push_back(number);
        if (best[0].item<double>() - best[1].item<double>() <= 2 * off) {
          said.undecided.push_back(number);
        }
      }
      said.token_ids.push_back(token);
      for (session* running : {&moved, &expected, &exact}) {
        running->step({token});
      }
    }
    double angle = 0;
    for (const rotary_specification& specification : rotary_at(length)) {
      angle = std::max(angle, fastest(specification));
    }
    angle *= static_cast<double>(settings_->delta + length + settings_->tokens) * float_rounding;
    said.holds = said.error <= slack * said.floor + slack * angle && said.differing.size() == said.undecided.size();
    return said;
  }

 private:
  void require_settings() const {
    const verify_moves_settings& s = *settings_;
    require<value_error>(!s.lengths.empty() && std::ranges::min(s.lengths) >= 2, where, "lengths",
                         "one or more, each 2 tokens or more",
                         [&] { return fmt::format("[{}]", fmt::join(s.lengths, ", ")); });
    require<value_error>(s.delta >= 1, where, "delta", "1 token or more", formatted("{}", s.delta));
    require<value_error>(s.tokens >= 0, where, "tokens", "0 or more", formatted("{}", s.tokens));
    const std::int64_t longest = std::ranges::max(s.lengths);
    require<value_error>(s.token_ids.empty() || static_cast<std::int64_t>(s.token_ids.size()) >= longest, where,
                         "token_ids", formatted("at least {}", longest), formatted("{}", s.token_ids.size()));
    require<shape_error>(
        s.specifications.empty() || static_cast<std::int64_t>(s.specifications.size()) == model_->config.layers, where,
        "specifications", formatted("one for each of {} layers", model_->config.layers),
        formatted("{}", s.specifications.size()));
    const std::optional<std::int64_t> limit = position_limit(model_->config);
    require<value_error>(!limit || longest + s.delta + s.tokens <= *limit, where, "positions",
                         formatted("length + delta + tokens of at most {}", limit.value_or(0)),
                         formatted("{} + {} + {}", longest, s.delta, s.tokens));
  }

  void draw_ids() {
    std::mt19937_64 random(0);  // NOLINT(bugprone-random-generator-seed): the same tokens for all who verify
    const std::int64_t vocabulary = model_->config.vocab_size;
    const std::int64_t first = std::min<std::int64_t>(3, vocabulary - 1);  // what lies below is no text, as a rule
    for (std::int64_t i = 0; i < std::ranges::max(settings_->lengths); ++i) {
      ids_.push_back(first + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(vocabulary - first)));
    }
  }

  [[nodiscard]] std::vector<rotary_specification> rotary_at(std::int64_t length) const {
    return rotary_specifications(model_->config, length);
  }

  /// `own`, or what the keys are taken to be rotated by.
  [[nodiscard]] std::vector<rotary_specification> claimed(std::vector<rotary_specification> own) const {
    if (settings_->specifications.empty()) {
      return own;
    }
    return settings_->specifications;
  }

  /// The cache of the first `length` tokens from position `start` on.
  [[nodiscard]] cache read(const causal_lm& model, std::int64_t length, std::int64_t start) const {
    plan text = plan_of({{ids_.begin(), ids_.begin() + length}});
    text.positions = text.positions.shifted(start);
    return session(model, text).release();
  }

  /// The same keys, taken to be rotated as the settings say.
  [[nodiscard]] cache taken(cache keys) const {
    if (!settings_->specifications.empty()) {
      const std::vector<rotary_specification>& by = settings_->specifications;
      keys.assume_frame(keys.stored().with_layers(make_for_alike(
          by.size(), [&](std::size_t a, std::size_t b) { return keys.stored().layers_share(a, b) && by[a] == by[b]; },
          [&](std::size_t i) -> cache_frame::shared_layer {
            const layer_frame& layer = keys.stored().layer(static_cast<std::int64_t>(i));
            return std::make_shared<const layer_frame>(layer_frame{layer.positions, {by[i]}});
          })));
    }
    return keys;
  }

  /// What stays of two texts, one behind the other, when the first is cut off and the second closes the gap.
  [[nodiscard]] static cache cut(const cache& first, const cache& second) {
    const cache joined = concat(first.view(), second.view());
    cache kept(joined.view().slice(first.length(), joined.length()));
    kept.close_gaps();
    kept.materialize();
    return kept;
  }

  [[nodiscard]] move_check saved_and_loaded(const cache& keys, std::int64_t length) const {
    const detail::scratch_folder folder;
    save_cache(folder.file(), keys);
    const cache loaded = cache_file::open(folder.file()).load(model_->identity);
    std::vector<double> errors = key_errors(loaded, keys);
    const bool unchanged =
        std::ranges::all_of(errors, [](double error) { return error == 0; }) && loaded.stored() == keys.stored();
    const std::vector<double> nothing(errors.size(), 0.0);
    return {"save, load", length, std::move(errors), nothing, nothing, unchanged};
  }

  [[nodiscard]] move_check checked(std::string name, std::int64_t length, std::vector<double> errors,
                                   std::vector<double> floors, std::size_t compared) const {
    move_check check{
        .name = std::move(name), .length = length, .errors = std::move(errors), .floors = std::move(floors)};
    check.errors.resize(compared);
    check.floors.resize(compared);
    check.holds = true;
    double angle = 0;  // of the layers so far: what one loses, those above read
    const std::vector<rotary_specification> rotary = rotary_at(length);
    for (std::size_t layer = 0; layer < compared; ++layer) {
      const auto last = static_cast<double>(settings_->delta + length);
      angle = std::max(angle, fastest(rotary[layer]) * last * float_rounding);
      check.tolerance.push_back(slack * check.floors[layer] + angle);
      check.holds = check.holds && check.errors[layer] <= check.tolerance[layer];  // false for what is no number
    }
    return check;
  }

  [[nodiscard]] static std::vector<double> larger_ones(std::vector<double> a, const std::vector<double>& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      a[i] = larger(a[i], b[i]);
    }
    return a;
  }

  const causal_lm* model_;
  const verify_moves_settings* settings_;
  std::vector<std::int64_t> ids_;
  causal_lm wide_;
};

bool depends_on_length(const model_config& config) {
  return std::ranges::any_of(config.rotary, [](const rotary_embedding& each) { return each.depends_on_length(); });
}

}  // namespace

moves_verdict verify_moves(const causal_lm& model, const verify_moves_settings& settings, std::string name) {
  moves_verdict found{.model = std::move(name), .dtype = dtype_name(model.dtype())};
  try {
    const move_verifier verifier(model, settings);
    for (const std::int64_t length : settings.lengths) {
      for (move_check& check : verifier.checks(length)) {
        found.checks.push_back(std::move(check));
      }
      if (!depends_on_length(model.config)) {  // else every token changes what the keys before it would be
        found.greedy.push_back(verifier.greedy(length));
      }
    }
  } catch (const error& refusal) {
    return {move_verdict::refused, refusal.what(), found.model, found.dtype, {}, {}};
  }
  std::vector<std::string> failed;
  for (const move_check& check : found.checks) {
    if (!check.holds) {
      failed.push_back(fmt::format("{} at length {}", check.name, check.length));
    }
  }
  for (const greedy_check& said : found.greedy) {
    if (!said.holds) {
      failed.push_back(fmt::format("greedy text at length {}", said.length));
    }
  }
  found.verdict = failed.empty() ? move_verdict::holds : move_verdict::does_not_hold;
  if (!failed.empty()) {
    found.reason = fmt::format("{}", fmt::join(failed, ", "));
  }
  return found;
}

}  // namespace kvtransfer
