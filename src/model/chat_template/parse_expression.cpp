#include "parse_expression.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <utility>

namespace kvtransfer::detail {
namespace {

expression_pointer node(expression_kind kind, std::string text = {}) {
  auto made = std::make_unique<template_expression>();
  made->kind = kind;
  made->text = std::move(text);
  return made;
}

template <class... Children>
expression_pointer node_of(expression_kind kind, std::string text, Children... children) {
  expression_pointer made = node(kind, std::move(text));
  (made->children.push_back(std::move(children)), ...);
  return made;
}

/// The grammar of jinja2.parser, one function a level of precedence.
class expression_parser {
 public:
  explicit expression_parser(token_cursor& tokens) : tokens_(tokens) {}

  expression_pointer condition() {
    const token_cursor::nesting deeper(tokens_);
    expression_pointer value = disjunction();
    while (tokens_.take_name("if")) {
      expression_pointer test = disjunction();
      expression_pointer otherwise = tokens_.take_name("else") ? condition() : nullptr;
      value = node_of(expression_kind::conditional, "if", std::move(value), std::move(test), std::move(otherwise));
    }
    return value;
  }

  expression_pointer disjunction() {
    expression_pointer left = conjunction();
    while (tokens_.take_name("or")) {
      left = node_of(expression_kind::binary, "or", std::move(left), conjunction());
    }
    return left;
  }

 private:
  expression_pointer conjunction() {
    expression_pointer left = negation();
    while (tokens_.take_name("and")) {
      left = node_of(expression_kind::binary, "and", std::move(left), negation());
    }
    return left;
  }

  expression_pointer negation() {
    const token_cursor::nesting deeper(tokens_);
    return tokens_.take_name("not") ? node_of(expression_kind::unary, "not", negation()) : comparison();
  }

  expression_pointer comparison() {
    constexpr std::array symbols{"==", "!=", "<", "<=", ">", ">="};
    expression_pointer left = sum();
    for (bool compared = false;; compared = true) {
      std::string relation;
      if (std::ranges::any_of(symbols, [&](const char* each) { return tokens_.is_symbol(each); })) {
        relation = tokens_.take().text;
      } else if (tokens_.take_name("in")) {
        relation = "in";
      } else if (tokens_.is_name("not") && tokens_.following().text == "in") {
        tokens_.take();
        tokens_.take();
        relation = "not in";
      } else {
        return left;
      }
      if (compared) {
        throw template_error("a chain of comparisons");
      }
      left = node_of(expression_kind::binary, relation, std::move(left), sum());
    }
  }

  template <class Next>
  expression_pointer left_to_right(std::initializer_list<const char*> operators, Next next) {
    expression_pointer left = next();
    while (std::ranges::any_of(operators, [&](const char* each) { return tokens_.is_symbol(each); })) {
      std::string text = tokens_.take().text;
      left = node_of(expression_kind::binary, std::move(text), std::move(left), next());
    }
    return left;
  }

  expression_pointer sum() {
    return left_to_right({"+", "-"}, [&] { return concatenation(); });
  }
  expression_pointer concatenation() {
    return left_to_right({"~"}, [&] { return product(); });
  }
  expression_pointer product() {
    return left_to_right({"*", "/", "//", "%"}, [&] { return unary(true); });
  }

  expression_pointer unary(bool with_filters) {
    const token_cursor::nesting deeper(tokens_);
    if (tokens_.is_symbol("-") || tokens_.is_symbol("+")) {
      std::string sign = tokens_.take().text;
      expression_pointer negated = node_of(expression_kind::unary, std::move(sign), unary(false));
      return with_filters ? filters(std::move(negated)) : std::move(negated);
    }
    expression_pointer value = postfix(primary());
    if (tokens_.is_symbol("**")) {
      throw template_error("the operator **");
    }
    return with_filters ? filters(std::move(value)) : std::move(value);
  }

  expression_pointer primary() {
    if (tokens_.is(token_kind::string)) {
      expression_pointer text = node(expression_kind::string);
      while (tokens_.is(token_kind::string)) {
        text->text += tokens_.take().text;
      }
      return text;
    }
    if (tokens_.is(token_kind::integer)) {
      expression_pointer whole = node(expression_kind::integer);
      whole->number = tokens_.take().number;
      return whole;
    }
    if (tokens_.is(token_kind::name)) {
      return named(tokens_.take().text);
    }
    if (tokens_.take_symbol("(")) {
      if (tokens_.take_symbol(")")) {
        return node(expression_kind::list);
      }
      expression_pointer inner = tuple(true);
      tokens_.expect_symbol(")");
      return inner;
    }
    if (tokens_.take_symbol("[")) {
      return list();
    }
    if (tokens_.take_symbol("{")) {
      return map();
    }
    tokens_.fail_at("a value");
  }

  static expression_pointer named(const std::string& name) {
    if (name == "true" || name == "True" || name == "false" || name == "False") {
      expression_pointer truth = node(expression_kind::boolean);
      truth->number = name == "true" || name == "True" ? 1 : 0;
      return truth;
    }
    return name == "none" || name == "None" ? node(expression_kind::none) : node(expression_kind::name, name);
  }

  expression_pointer list() {
    expression_pointer items = node(expression_kind::list);
    while (!tokens_.take_symbol("]")) {
      items->children.push_back(condition());
      if (!tokens_.is_symbol("]")) {
        tokens_.expect_symbol(",");
      }
    }
    return items;
  }

  expression_pointer map() {
    expression_pointer items = node(expression_kind::map);
    while (!tokens_.take_symbol("}")) {
      items->children.push_back(condition());
      tokens_.expect_symbol(":");
      items->children.push_back(condition());
      if (!tokens_.is_symbol("}")) {
        tokens_.expect_symbol(",");
      }
    }
    return items;
  }

  expression_pointer postfix(expression_pointer value) {
    for (;;) {
      if (tokens_.take_symbol(".")) {
        if (tokens_.is(token_kind::integer)) {
          throw template_error("an index behind a dot");
        }
        std::string attribute = tokens_.expect(token_kind::name, "a name").text;
        value = node_of(expression_kind::attribute, std::move(attribute), std::move(value));
      } else if (tokens_.take_symbol("[")) {
        value = subscript(std::move(value));
      } else if (tokens_.is_symbol("(")) {
        value = node_of(expression_kind::call, "call", std::move(value));
        arguments(*value);
      } else {
        return value;
      }
    }
  }

  expression_pointer subscript(expression_pointer value) {
    expression_pointer bounds[3];
    int colons = 0;
    while (!tokens_.take_symbol("]")) {
      if (tokens_.take_symbol(":")) {
        ++colons;
      } else if (colons < 3 && bounds[colons] == nullptr) {
        bounds[colons] = condition();
      } else {
        tokens_.fail_at("\"]\"");
      }
    }
    if (colons == 0 && bounds[0] != nullptr) {
      return node_of(expression_kind::item, {}, std::move(value), std::move(bounds[0]));
    }
    if (colons == 0 || colons > 2) {
      throw template_error("a subscript that is neither an item nor a slice");
    }
    return node_of(expression_kind::slice, {}, std::move(value), std::move(bounds[0]), std::move(bounds[1]),
                   std::move(bounds[2]));
  }

  void arguments(template_expression& call) {
    tokens_.expect_symbol("(");
    while (!tokens_.take_symbol(")")) {
      const bool keyword = tokens_.is(token_kind::name) && tokens_.following().text == "=" &&
                           tokens_.following().kind == token_kind::symbol;
      if (keyword) {
        std::string name = tokens_.take().text;
        tokens_.take();
        call.named.emplace_back(std::move(name), condition());
      } else {
        call.children.push_back(condition());
      }
      if (!tokens_.is_symbol(")")) {
        tokens_.expect_symbol(",");
      }
    }
  }

  expression_pointer filters(expression_pointer value) {
    for (;;) {
      if (tokens_.take_symbol("|")) {
        value = node_of(expression_kind::filter, tokens_.expect(token_kind::name, "a filter").text, std::move(value));
        if (tokens_.is_symbol("(")) {
          arguments(*value);
        }
      } else if (tokens_.take_name("is")) {
        value = test(std::move(value));
      } else if (tokens_.is_symbol("(")) {
        value = node_of(expression_kind::call, "call", std::move(value));
        arguments(*value);
      } else {
        return value;
      }
    }
  }

  expression_pointer test(expression_pointer value) {
    const bool negated = tokens_.take_name("not");
    value = node_of(expression_kind::test, tokens_.expect(token_kind::name, "a test").text, std::move(value));
    const bool ends = tokens_.is_name("else") || tokens_.is_name("or") || tokens_.is_name("and") ||
                      tokens_.is_name("is") || tokens_.is_name("if") || tokens_.is_name("in") || tokens_.is_name("not");
    if (tokens_.is_symbol("(")) {
      arguments(*value);
    } else if (!ends && (tokens_.is(token_kind::name) || tokens_.is(token_kind::string) ||
                         tokens_.is(token_kind::integer) || tokens_.is_symbol("[") || tokens_.is_symbol("{"))) {
      value->children.push_back(postfix(primary()));
    }
    return negated ? node_of(expression_kind::unary, "not", std::move(value)) : std::move(value);
  }

 public:
  expression_pointer tuple(bool with_condition) {
    const auto next = [&] { return with_condition ? condition() : disjunction(); };
    expression_pointer first = next();
    if (!tokens_.is_symbol(",")) {
      return first;
    }
    expression_pointer items = node_of(expression_kind::list, {}, std::move(first));
    while (tokens_.take_symbol(",")) {
      if (tokens_.is_symbol(")") || tokens_.is(token_kind::tag_end)) {
        break;
      }
      items->children.push_back(next());
    }
    return items;
  }

 private:
  token_cursor& tokens_;
};

}  // namespace

expression_pointer parse_expression(token_cursor& tokens, bool with_condition) {
  expression_parser parser(tokens);
  return with_condition ? parser.condition() : parser.disjunction();
}

expression_pointer parse_tuple(token_cursor& tokens, bool with_condition) {
  return expression_parser(tokens).tuple(with_condition);
}

}  // namespace kvtransfer::detail
