#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "kvtransfer/experiment/concepts.hpp"

namespace kvtransfer {

struct condition_point;
struct suite_prompts;

/// A condition chosen at run time. Copies share the one they were made from.
class any_condition {
 public:
  /// Takes any condition, by value.
  template <class Chosen>
    requires(!std::same_as<Chosen, any_condition> && Condition<Chosen>)
  any_condition(Chosen chosen)  // NOLINT(google-explicit-constructor): a condition is a condition
      : chosen_(std::make_shared<const holder<Chosen>>(std::move(chosen))) {}

  /// What it is, for tables and files.
  [[nodiscard]] condition_description describe() const { return chosen_->describe(); }
  /// Why it can't be done with this model and these prompts; nothing where it can.
  [[nodiscard]] std::optional<std::string> not_applicable(const prompt_ids& prompts) const {
    return chosen_->not_applicable(prompts);
  }
  /// Positions in front of the first generated token, at most.
  [[nodiscard]] std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t max_new_tokens) const {
    return chosen_->tokens_needed(prompts, max_new_tokens);
  }
  /// The plan. @param caches asked for what is injected @param settings with one seed, the trial's
  [[nodiscard]] prepared_input prepare(prompt_caches& caches, const prompt_ids& prompts,
                                       const generation_config& settings) const {
    return chosen_->prepare(caches, prompts, settings);
  }

  /// The same condition, knowing the suite that it runs in: what its `within(suite)` gives, or itself where it has
  /// none.
  [[nodiscard]] any_condition within(const suite_prompts& suite) const {
    std::shared_ptr<const interface> bound = chosen_->within(suite);
    return bound == nullptr ? *this : any_condition(std::move(bound));
  }
  /// Where it stands in the space of conditions: what its `point()` gives; null where it has none, so that nothing can
  /// be said behind its id.
  [[nodiscard]] std::shared_ptr<const condition_point> point() const { return chosen_->point(); }
  /// What its outcome depends on beside the model, the test and its id: what its `depends_on(prompts)` gives; empty
  /// where it has none.
  [[nodiscard]] std::string depends_on(const prompt_ids& prompts) const { return chosen_->depends_on(prompts); }

 private:
  struct interface {
    virtual ~interface() = default;
    [[nodiscard]] virtual condition_description describe() const = 0;
    [[nodiscard]] virtual std::optional<std::string> not_applicable(const prompt_ids& prompts) const = 0;
    [[nodiscard]] virtual std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t max_new_tokens) const = 0;
    [[nodiscard]] virtual prepared_input prepare(prompt_caches& caches, const prompt_ids& prompts,
                                                 const generation_config& settings) const = 0;
    [[nodiscard]] virtual std::shared_ptr<const interface> within(const suite_prompts& suite) const = 0;
    [[nodiscard]] virtual std::shared_ptr<const condition_point> point() const = 0;
    [[nodiscard]] virtual std::string depends_on(const prompt_ids& prompts) const = 0;
  };

  template <Condition Chosen>
  struct holder final : interface {
    explicit holder(Chosen value) : condition(std::move(value)) {}
    [[nodiscard]] condition_description describe() const override { return condition.describe(); }
    [[nodiscard]] std::optional<std::string> not_applicable(const prompt_ids& prompts) const override {
      return condition.not_applicable(prompts);
    }
    [[nodiscard]] std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t max_new_tokens) const override {
      return condition.tokens_needed(prompts, max_new_tokens);
    }
    [[nodiscard]] prepared_input prepare(prompt_caches& caches, const prompt_ids& prompts,
                                         const generation_config& settings) const override {
      return condition.prepare(caches, prompts, settings);
    }
    [[nodiscard]] std::shared_ptr<const interface> within(const suite_prompts& suite) const override {
      if constexpr (requires { condition.within(suite); }) {
        return std::make_shared<const holder>(condition.within(suite));
      } else {
        return nullptr;
      }
    }
    [[nodiscard]] std::shared_ptr<const condition_point> point() const override {
      if constexpr (requires { condition.point(); }) {
        return condition.point();
      } else {
        return nullptr;
      }
    }
    [[nodiscard]] std::string depends_on(const prompt_ids& prompts) const override {
      if constexpr (requires { condition.depends_on(prompts); }) {
        return condition.depends_on(prompts);
      } else {
        return {};
      }
    }
    Chosen condition;
  };

  explicit any_condition(std::shared_ptr<const interface> chosen) : chosen_(std::move(chosen)) {}

  std::shared_ptr<const interface> chosen_;
};

static_assert(Condition<any_condition>);

}  // namespace kvtransfer
