#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvtransfer::detail {

struct template_expression;
using expression_pointer = std::unique_ptr<template_expression>;

enum class expression_kind {
  string,       ///< `text`
  integer,      ///< `number`
  boolean,      ///< `number`
  none,         ///
  name,         ///< `text`
  list,         ///< of `children`; a tuple too
  map,          ///< of `children`: key, value, key, value
  attribute,    ///< children[0].text
  item,         ///< children[0][children[1]]
  slice,        ///< children[0][children[1]:children[2]:children[3]], the last three may be null
  call,         ///< children[0](children[1], …, named…)
  filter,       ///< children[0] | text(children[1], …, named…)
  test,         ///< children[0] is text(children[1], …)
  unary,        ///< `text` children[0]: not, -, +
  binary,       ///< children[0] `text` children[1]
  conditional,  ///< children[0] if children[1] else children[2], which may be null
};

/// A node of an expression.
struct template_expression {
  expression_kind kind;
  std::string text;
  std::int64_t number = 0;
  std::vector<expression_pointer> children;
  std::vector<std::pair<std::string, expression_pointer>> named;  ///< keyword arguments
};

enum class statement_kind { text, output, if_, for_, set, macro, break_, continue_ };

struct template_statement;
using statement_list = std::vector<template_statement>;

/// A statement: the members that its kind has are set.
struct template_statement {
  statement_kind kind;
  std::string text = {};                ///< text: what is printed; set, macro: the name
  std::string attribute = {};           ///< set: of a namespace, else empty
  std::vector<std::string> names = {};  ///< for_: the loop's variables; macro: its parameters
  /// output, set: the value (null for a set with a body); if_: the condition (null in an else);
  /// for_: what is iterated over.
  expression_pointer expression = {};
  expression_pointer filter = {};                 ///< for_: the condition that items must pass, or null
  std::vector<expression_pointer> defaults = {};  ///< macro: of the parameters, null where there is none
  statement_list body = {};
  statement_list otherwise = {};  ///< if_: one further if_ or what stands in its else; for_: what an empty loop runs
};

/// Reads a whole template. @throws template_error
[[nodiscard]] statement_list parse_template(std::string_view source);

}  // namespace kvtransfer::detail
