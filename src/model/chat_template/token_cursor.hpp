#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "template_error.hpp"
#include "tokens.hpp"

namespace kvtransfer::detail {

/// A place in a template's tokens, and how deep the parser is in them.
class token_cursor {
 public:
  explicit token_cursor(std::vector<template_token> tokens) : tokens_(std::move(tokens)) {}

  [[nodiscard]] const template_token& current() const { return tokens_[at_]; }
  [[nodiscard]] const template_token& following() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }

  [[nodiscard]] bool is(token_kind kind) const { return current().kind == kind; }
  [[nodiscard]] bool is_symbol(std::string_view text) const { return is(token_kind::symbol) && current().text == text; }
  [[nodiscard]] bool is_name(std::string_view text) const { return is(token_kind::name) && current().text == text; }

  /// The current token, stepped over; the last one stays.
  template_token take() {
    template_token token = current();
    at_ += at_ + 1 < tokens_.size() ? 1 : 0;
    return token;
  }

  bool take_symbol(std::string_view text) { return is_symbol(text) && (take(), true); }
  bool take_name(std::string_view text) { return is_name(text) && (take(), true); }

  template_token expect(token_kind kind, std::string_view what) {
    if (!is(kind)) {
      fail_at(what);
    }
    return take();
  }

  void expect_symbol(std::string_view text) {
    if (!take_symbol(text)) {
      fail_at(fmt::format("\"{}\"", text));
    }
  }

  [[noreturn]] void fail_at(std::string_view expected) const {
    throw template_error(fmt::format("\"{}\" where {} was expected", current().text.substr(0, 40), expected));
  }

  /// Counts nesting while it lives: a hostile template must not exhaust the stack.
  class nesting {
   public:
    explicit nesting(token_cursor& cursor) : cursor_(cursor) {
      constexpr int deepest = 100;
      if (++cursor_.depth_ > deepest) {
        throw template_error(fmt::format("more than {} nested levels", deepest));
      }
    }
    nesting(const nesting&) = delete;
    nesting& operator=(const nesting&) = delete;
    ~nesting() { --cursor_.depth_; }

   private:
    token_cursor& cursor_;
  };

 private:
  std::vector<template_token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace kvtransfer::detail
