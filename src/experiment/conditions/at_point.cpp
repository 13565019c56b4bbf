#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "experiment/conditions/source_projection.hpp"  // IWYU pragma: keep (condition_point.hpp declares it only)
#include "experiment/conditions/taken_cache.hpp"
#include "experiment/input_digest.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/experiment/concepts.hpp"
#include "kvtransfer/experiment/condition_point.hpp"
#include "kvtransfer/experiment/suite_prompts.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"  // IWYU pragma: keep (config.hpp declares it only)

namespace kvtransfer {

namespace {

using detail::taken_cache;

constexpr std::int64_t rerotation = 16;  // tokens

/// The parts of a text whose roles stand in one place, as a policy may name them.
std::map<std::string, slot_range, std::less<>> spans_of(const sequence& parts) {
  std::map<std::string, slot_range, std::less<>> spans;
  std::map<std::string, int, std::less<>> times;
  std::int64_t begin = 0;
  for (const sequence_part& part : parts) {
    const std::string name(name_of(part.role));
    spans[name] = {begin, part.tokens};
    ++times[name];
    begin += part.tokens;
  }
  std::erase_if(spans, [&](const auto& each) { return times[each.first] > 1 || each.second.empty(); });
  return spans;
}

bool two_layers_rotate_alike(const model_config& config) {
  for (std::size_t i = 0; i < config.rotary.size(); ++i) {
    for (std::size_t j = i + 1; j < config.rotary.size(); ++j) {
      if (config.rotary[i].computes_as(config.rotary[j])) {
        return true;
      }
    }
  }
  return false;
}

struct point_condition {
  condition_point at;
  condition_description named;
  const causal_lm* model = nullptr;    // from here on known once the condition is bound to a run
  std::vector<prompt_ids> tests = {};  // as many as `others`
  std::vector<std::optional<std::size_t>> others = {};

  [[nodiscard]] condition_description describe() const { return named; }

  [[nodiscard]] std::shared_ptr<const condition_point> point() const {
    return std::make_shared<const condition_point>(at);
  }

  [[nodiscard]] point_condition within(const suite_prompts& suite) const {
    point_condition bound = *this;
    bound.model = suite.model;
    bound.tests = suite.tests;
    bound.others = other_sources(suite.tests);
    if (at.projection != nullptr) {
      at.projection->bind(suite);
    }
    return bound;
  }

  [[nodiscard]] std::optional<std::string> not_applicable(const prompt_ids& prompts) const {
    if (at.second_bos && !begins_with_bos(prompts.alone())) {
      return "this model puts no BOS in front of a text, so there is no second one";
    }
    if (needs_other() && !other_of(prompts)) {
      return "no other test of the suite has another source";
    }
    if (at.control == cache_control::shuffled_tokens &&
        ids_of(detail::with_shuffled_source(prompts.head, 0)) == ids_of(prompts.head)) {
      return "the source has no two tokens that differ";
    }
    if (const auto why = wrong_for_model()) {
      return why;
    }
    return donor_of_other_length(prompts);
  }

  [[nodiscard]] std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t max_new_tokens) const {
    constexpr std::int64_t eos = 1;
    std::int64_t cached = at.files ? next_position_of_file(prompts) : count_of(text_to_cache(prompts));
    cached = at.projection == nullptr ? cached : std::max(cached, count_of(own_text(prompts)));
    if (at.taken != cache_moment::prompt) {
      cached += max_new_tokens + (at.taken == cache_moment::generated_eos ? eos : 0);
    }
    cached += at.rerotated ? rerotation : 0;
    const std::int64_t text = count_of(text_behind(prompts));
    const any_position_policy place = at.policy.text_place().value_or(place::offset{});
    return std::max(cached, place.place(position_row::consecutive(0, cached), text).last_position().value_or(-1) + 1);
  }

  /// The digest of the file, of the other source, and of the projector.
  [[nodiscard]] std::string depends_on(const prompt_ids& prompts) const {
    detail::input_digest inputs;
    if (at.files) {
      inputs.add_file(file_for(prompts));
    }
    if (const prompt_ids* other = needs_other() ? other_of(prompts) : nullptr; other != nullptr) {
      inputs.add_tokens(ids_of(other->head));
    }
    if (at.projection != nullptr) {
      inputs.add_text(at.projection->digest());
    }
    return inputs.text();
  }

  [[nodiscard]] prepared_input prepare(prompt_caches& caches, const prompt_ids& prompts,
                                       const generation_config& settings) const {
    const std::uint64_t seed = settings.seeds.front();
    taken_cache taken = detail::controlled(take(caches, prompts, settings), at.control, seed);
    taken = detail::kept_in(std::move(taken), at.precision);
    taken = at.rerotated ? detail::moved_on(std::move(taken), rerotation) : std::move(taken);
    const prompt_text behind = text_behind(prompts);
    const injection what = at.policy.apply(injection(taken.kv, context(caches, prompts, taken)));
    prepared_input read{prepend(what, {ids_of(behind)}), joined(taken.parts, parts_of(behind, false))};
    if (at.visible == cache_visibility::hidden) {
      hide_all(read.input);
    }
    return read;
  }

 private:
  [[nodiscard]] bool needs_other() const { return at.control == cache_control::other_source || has_role("other"); }

  [[nodiscard]] bool has_role(std::string_view role) const {
    const std::vector<std::string> roles = at.policy.roles();
    return std::ranges::find(roles, role) != roles.end();
  }

  /// The test whose source stands in for this one's; null where there is none.
  [[nodiscard]] const prompt_ids* other_of(const prompt_ids& prompts) const {
    for (std::size_t i = 0; i < tests.size(); ++i) {
      if (tests[i] == prompts) {
        return others[i] ? &tests[*others[i]] : nullptr;
      }
    }
    return nullptr;
  }

  [[nodiscard]] std::optional<std::string> wrong_for_model() const {
    if (model == nullptr) {
      return std::nullopt;
    }
    if (at.control == cache_control::shuffled_heads && model->config.kv_heads < 2) {
      return "this model has one KV head";
    }
    if (at.control == cache_control::shuffled_layers && !two_layers_rotate_alike(model->config)) {
      return "no two layers of this model rotate alike";
    }
    const bool windows = std::ranges::any_of(
        model->config.attention, [](const attention_specification& layer) { return layer.window.has_value(); });
    if (at.control == cache_control::shuffled_slots && windows) {
      return "this model's windows count slots, so that their order matters";
    }
    return std::nullopt;
  }

  /// A donor stands beside the source slot by slot, so that it needs the same length.
  [[nodiscard]] std::optional<std::string> donor_of_other_length(const prompt_ids& prompts) const {
    const std::int64_t own = count_of(text_to_cache(prompts));
    for (const auto& [role, text] : donor_texts(prompts)) {
      if (count_of(text) != own && at.taken == cache_moment::prompt && !at.files) {
        return fmt::format("the donor {} has {} tokens and the cache {}", role, count_of(text), own);
      }
    }
    return std::nullopt;
  }

  /// The prompts whose caches the policies ask for, by role.
  [[nodiscard]] std::map<std::string, prompt_text> donor_texts(const prompt_ids& prompts) const {
    std::map<std::string, prompt_text> texts;
    if (has_role("target")) {
      texts.emplace("target", prompts.alone());
    }
    if (has_role("other")) {
      texts.emplace("other", other_of(prompts)->head);
    }
    return texts;
  }

  /// The prompt whose cache is taken, whatever the control puts in its place.
  [[nodiscard]] prompt_text own_text(const prompt_ids& prompts) const {
    return at.prompt == cached_prompt::target ? prompts.alone() : prompts.head;
  }

  /// The prompt whose cache is taken, what the control puts in its place included.
  [[nodiscard]] prompt_text text_to_cache(const prompt_ids& prompts) const {
    const prompt_ids* other = at.control == cache_control::other_source ? other_of(prompts) : nullptr;
    return other == nullptr || at.prompt == cached_prompt::target ? own_text(prompts) : other->head;
  }

  /// What is read behind the cache.
  [[nodiscard]] prompt_text text_behind(const prompt_ids& prompts) const {
    if (at.second_bos) {
      return prompts.alone();
    }
    return at.prompt == cached_prompt::target ? without_bos(prompts.alone()) : prompts.tail;
  }

  [[nodiscard]] std::filesystem::path file_for(const prompt_ids& prompts) const {
    const prompt_ids* other = at.control == cache_control::other_source ? other_of(prompts) : nullptr;
    return detail::cache_file_of(*at.files, other == nullptr ? prompts.test : other->test);
  }

  [[nodiscard]] std::int64_t next_position_of_file(const prompt_ids& prompts) const {
    return cache_file::open(file_for(prompts)).frame().next_position();
  }

  [[nodiscard]] taken_cache take(prompt_caches& caches, const prompt_ids& prompts,
                                 const generation_config& settings) const {
    prompt_text text = text_to_cache(prompts);
    if (at.files) {
      return detail::cache_of_file(caches.model(), file_for(prompts), at.accepted_origin, text);
    }
    if (at.control == cache_control::shuffled_tokens) {
      text = detail::with_shuffled_source(std::move(text), settings.seeds.front());
    }
    return at.projection == nullptr ? detail::cache_of_text(caches, text, at.taken, settings)
                                    : at.projection->take(caches, text, own_text(prompts), at.taken, settings);
  }

  [[nodiscard]] injection_context context(prompt_caches& caches, const prompt_ids& prompts,
                                          const taken_cache& taken) const {
    injection_context known{caches.model().config.q_heads, {}, spans_of(taken.parts)};
    for (const auto& [role, text] : donor_texts(prompts)) {
      known.donors.emplace(role, caches.prefill(ids_of(text)));
    }
    return known;
  }

  static void hide_all(plan& input) {
    for (std::vector<segment>& parts : input.layers) {
      for (segment& part : parts) {
        const cache_extents extents = part.kv().extents();
        part.visible =
            at::zeros({extents.batch, 1, extents.seq}, at::TensorOptions(at::kBool).device(part.kv().device()));
      }
    }
  }
};

}  // namespace

any_condition at_point(condition_point point, condition_description named) {
  return point_condition{std::move(point), std::move(named)};
}

any_condition at_point(condition_point point, const condition_description& base, std::string_view text) {
  condition_description named = base;
  named.id = fmt::format("{}+{}", base.id, text);
  named.title = fmt::format("{} +{}", base.title, text);
  named.injected = fmt::format("{}; changed by {}", base.injected, text);
  named.tells = fmt::format("what {} does to {}", text, base.id);
  named.reference = point.prompt == cached_prompt::target ? "baseline" : base.reference;
  named.must_equal_reference = false;
  named.reconstructs = std::nullopt;
  named.mistake.clear();
  named.random = base.random || (point.control >= cache_control::shuffled_tokens) ||
                 point.control == cache_control::noise || point.control == cache_control::noise_sink_kept;
  return at_point(std::move(point), std::move(named));
}

}  // namespace kvtransfer
