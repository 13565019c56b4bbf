#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "evaluator.hpp"
#include "template_error.hpp"

namespace kvtransfer::detail {

void template_evaluator::spend(std::size_t amount) {
  constexpr std::size_t most = 2'000'000;
  spent_ += amount;
  if (spent_ > most) {
    throw template_error("more work than a chat template takes");
  }
}

template_value template_evaluator::lookup(const std::string& name) const {
  for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) {
    if (const template_value* found = find_entry(*frame, name)) {
      return *found;
    }
  }
  constexpr std::string_view functions[]{"raise_exception", "namespace", "range"};
  if (std::ranges::find(functions, name) != std::end(functions) || (name == "strftime_now" && date_)) {
    return function_value{name};
  }
  return undefined_value{name};
}

template_value template_evaluator::evaluate_or_none(const expression_pointer& expression) {
  return expression == nullptr ? template_value() : evaluate(*expression);
}

template_value template_evaluator::evaluate(const template_expression& expression) {
  using kind = expression_kind;
  const auto child = [&](std::size_t index) {
    template_value value = evaluate(*expression.children[index]);
    spend(value.weight());
    return value;
  };
  spend(1);
  switch (expression.kind) {
    case kind::string:
      return expression.text;
    case kind::integer:
      return expression.number;
    case kind::boolean:
      return expression.number != 0;
    case kind::none:
      return {};
    case kind::name:
      return lookup(expression.text);
    case kind::list: {
      value_list items;
      for (const auto& each : expression.children) {
        items.push_back(evaluate(*each));
      }
      return items;
    }
    case kind::map: {
      value_map items;
      for (std::size_t i = 0; i + 1 < expression.children.size(); i += 2) {
        items.emplace_back(child(i).text(), child(i + 1));
      }
      return items;
    }
    case kind::attribute:
      return item_of(child(0), expression.text);
    case kind::item:
      return item_of(child(0), child(1));
    case kind::slice:
      return slice_of(child(0), evaluate_or_none(expression.children[1]), evaluate_or_none(expression.children[2]),
                      evaluate_or_none(expression.children[3]));
    case kind::call:
      return evaluate_call(expression);
    case kind::filter: {
      const template_value value = child(0);
      return apply_filter(expression.text, value, arguments_of(expression));
    }
    case kind::test: {
      const template_value value = child(0);
      return apply_test(expression.text, value, arguments_of(expression));
    }
    case kind::unary:
      return expression.text == "not" ? template_value(!child(0).truth())
                                      : apply_operator(expression.text, std::int64_t{0}, child(0));
    case kind::binary:
      return evaluate_binary(expression);
    case kind::conditional:
      if (child(1).truth()) {
        return child(0);
      }
      return expression.children[2] != nullptr ? child(2) : template_value(undefined_value{"else"});
  }
  return {};
}

template_value template_evaluator::evaluate_binary(const template_expression& expression) {
  const template_value left = evaluate(*expression.children[0]);
  if (expression.text == "and" || expression.text == "or") {
    return left.truth() == (expression.text == "or") ? left : evaluate(*expression.children[1]);
  }
  const template_value right = evaluate(*expression.children[1]);
  spend(left.weight() + right.weight());
  template_value result = apply_operator(expression.text, left, right);
  spend(result.weight());
  return result;
}

call_arguments template_evaluator::arguments_of(const template_expression& call) {
  call_arguments arguments;
  for (std::size_t i = 1; i < call.children.size(); ++i) {
    arguments.positional.push_back(evaluate(*call.children[i]));
  }
  for (const auto& [name, value] : call.named) {
    arguments.named.emplace_back(name, evaluate(*value));
  }
  return arguments;
}

template_value template_evaluator::evaluate_call(const template_expression& expression) {
  const template_expression& callee = *expression.children[0];
  if (callee.kind == expression_kind::attribute) {
    const template_value object = evaluate(*callee.children[0]);
    spend(object.weight());
    return call_method(callee.text, object, arguments_of(expression));
  }
  const template_value function = evaluate(callee);
  if (const auto* macro = function.get_if<macro_value>()) {
    return call_macro(*macro->macro, arguments_of(expression));
  }
  if (const auto* builtin = function.get_if<function_value>()) {
    return call_function(builtin->name, arguments_of(expression));
  }
  throw template_error(fmt::format("a call of {}", function.description()));
}

template_value template_evaluator::call_function(const std::string& name, const call_arguments& arguments) {
  if (name == "raise_exception") {
    throw template_refusal(arguments.positional.empty() ? std::string() : arguments.positional[0].text());
  }
  if (name == "strftime_now") {
    return *date_;
  }
  if (name == "namespace" && arguments.positional.empty()) {
    template_value checked(value_map(arguments.named));  // refuses a namespace in a namespace
    return namespace_value{std::make_shared<value_map>(*checked.map())};
  }
  std::vector<std::int64_t> bounds;
  for (const template_value& each : arguments.positional) {
    const auto* bound = each.get_if<std::int64_t>();
    bounds.push_back(bound != nullptr ? *bound : -1);
  }
  constexpr std::int64_t longest = 10'000;
  const bool fits = std::ranges::all_of(bounds, [](std::int64_t bound) { return bound >= 0 && bound <= longest; });
  if (name != "range" || bounds.empty() || bounds.size() > 2 || !fits) {
    throw template_error(fmt::format("such a call of {}", name));
  }
  value_list numbers;
  for (std::int64_t i = bounds.size() == 1 ? 0 : bounds[0]; i < bounds.back(); ++i) {
    numbers.emplace_back(i);
  }
  spend(numbers.size());
  return numbers;
}

template_value template_evaluator::call_macro(const template_statement& macro, const call_arguments& arguments) {
  constexpr int deepest = 20;
  if (++calls_ > deepest) {
    throw template_error(fmt::format("macros that call one another more than {} levels deep", deepest));
  }
  value_map parameters;
  for (std::size_t i = 0; i < macro.names.size(); ++i) {
    const auto named =
        std::ranges::find_if(arguments.named, [&](const auto& each) { return each.first == macro.names[i]; });
    parameters.emplace_back(macro.names[i], i < arguments.positional.size()  ? arguments.positional[i]
                                            : named != arguments.named.end() ? named->second
                                            : macro.defaults[i] != nullptr   ? evaluate(*macro.defaults[i])
                                                                             : undefined_value{macro.names[i]});
  }
  std::vector<value_map> callers = std::exchange(frames_, {frames_.front(), std::move(parameters)});
  std::string text = captured(macro.body);
  frames_ = std::move(callers);
  --calls_;
  return text;
}

}  // namespace kvtransfer::detail
