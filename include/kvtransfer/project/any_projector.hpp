#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/project/concepts.hpp"

namespace kvtransfer {

/// A projector chosen at run time. Copies share the one they were made from.
class any_projector {
 public:
  static constexpr std::string_view name = "projector";  ///< of the type; `digest()` begins with the one chosen

  /// Takes any projector, by value.
  template <class Chosen>
    requires(!std::same_as<Chosen, any_projector> && Projector<Chosen>)
  any_projector(Chosen chosen)  // NOLINT(google-explicit-constructor): a projector is a projector
      : chosen_(std::make_shared<const holder<Chosen>>(std::move(chosen))) {}

  /// What `Projector` asks for, as the chosen one has it.
  /// @{
  [[nodiscard]] projection_effect effect() const { return chosen_->effect(); }
  [[nodiscard]] key_rotation rotation() const { return chosen_->rotation(); }
  [[nodiscard]] std::int64_t layers() const { return chosen_->layers(); }
  [[nodiscard]] std::vector<std::int64_t> source_layers(std::int64_t layer) const {
    return chosen_->source_layers(layer);
  }
  [[nodiscard]] layer_kv project(std::int64_t layer, const projection_input& input) const {
    return chosen_->project(layer, input);
  }
  [[nodiscard]] std::string digest() const { return chosen_->label() + " " + chosen_->digest(); }
  /// @}

 private:
  struct interface {
    virtual ~interface() = default;
    [[nodiscard]] virtual projection_effect effect() const = 0;
    [[nodiscard]] virtual key_rotation rotation() const = 0;
    [[nodiscard]] virtual std::int64_t layers() const = 0;
    [[nodiscard]] virtual std::vector<std::int64_t> source_layers(std::int64_t layer) const = 0;
    [[nodiscard]] virtual layer_kv project(std::int64_t layer, const projection_input& input) const = 0;
    [[nodiscard]] virtual std::string digest() const = 0;
    [[nodiscard]] virtual std::string label() const = 0;
  };

  template <class Chosen>
  struct holder final : interface {
    explicit holder(Chosen value) : projector(std::move(value)) {}
    [[nodiscard]] projection_effect effect() const override { return projector.effect(); }
    [[nodiscard]] key_rotation rotation() const override { return projector.rotation(); }
    [[nodiscard]] std::int64_t layers() const override { return projector.layers(); }
    [[nodiscard]] std::vector<std::int64_t> source_layers(std::int64_t layer) const override {
      return projector.source_layers(layer);
    }
    [[nodiscard]] layer_kv project(std::int64_t layer, const projection_input& input) const override {
      return projector.project(layer, input);
    }
    [[nodiscard]] std::string digest() const override { return projector.digest(); }
    [[nodiscard]] std::string label() const override { return std::string(Chosen::name); }
    Chosen projector;
  };

  std::shared_ptr<const interface> chosen_;
};

static_assert(Projector<any_projector>);

}  // namespace kvtransfer
