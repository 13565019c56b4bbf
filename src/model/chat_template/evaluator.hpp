#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "functions.hpp"
#include "syntax.hpp"
#include "value.hpp"

namespace kvtransfer::detail {

/// Runs a template's statements. Names live in frames: the template's, and one for each pass of a loop.
class template_evaluator {
 public:
  /// @param globals the names that the template finds
  /// @param date what strftime_now gives
  template_evaluator(value_map globals, std::optional<std::string> date);

  /// What the statements print. @throws template_error, template_refusal
  [[nodiscard]] std::string run(const statement_list& statements);

 private:
  enum class flow { next, break_, continue_ };

  flow execute(const statement_list& statements);
  flow execute_loop(const template_statement& loop);
  void assign(const template_statement& set);
  void set_name(const std::string& name, template_value value);
  void print(std::string_view text);
  std::string captured(const statement_list& body);

  template_value evaluate(const template_expression& expression);
  template_value evaluate_binary(const template_expression& expression);
  template_value evaluate_call(const template_expression& expression);
  template_value evaluate_or_none(const expression_pointer& expression);
  template_value call_function(const std::string& name, const call_arguments& arguments);
  template_value call_macro(const template_statement& macro, const call_arguments& arguments);
  [[nodiscard]] template_value lookup(const std::string& name) const;
  call_arguments arguments_of(const template_expression& call);
  /// Counts work; a hostile template must end.
  void spend(std::size_t amount);

  std::vector<value_map> frames_;
  std::optional<std::string> date_;
  std::string output_;
  std::size_t spent_ = 0;
  int calls_ = 0;
};

}  // namespace kvtransfer::detail
