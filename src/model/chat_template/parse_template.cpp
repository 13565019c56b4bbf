#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>

#include "parse_expression.hpp"
#include "syntax.hpp"
#include "token_cursor.hpp"

namespace kvtransfer::detail {
namespace {

class statement_parser {
 public:
  explicit statement_parser(token_cursor& tokens) : tokens_(tokens) {}

  /// Statements up to a block that opens with one of `ends`, which is not taken; to the template's end where none is.
  statement_list body(std::initializer_list<const char*> ends) {
    const token_cursor::nesting deeper(tokens_);
    statement_list statements;
    for (;;) {
      if (tokens_.is(token_kind::end)) {
        if (ends.size() > 0) {
          throw template_error(fmt::format("a template without its \"{}\"", *(ends.end() - 1)));
        }
        return statements;
      }
      if (tokens_.is(token_kind::text)) {
        statements.push_back({statement_kind::text, tokens_.take().text});
      } else if (tokens_.is(token_kind::output_begin)) {
        tokens_.take();
        statements.push_back({statement_kind::output});
        statements.back().expression = parse_tuple(tokens_);
        end_tag();
      } else {
        const std::string& keyword = tokens_.following().text;
        if (std::ranges::any_of(ends, [&](const char* each) { return keyword == each; })) {
          return statements;
        }
        tokens_.expect(token_kind::block_begin, "a tag");
        block(statements);
      }
    }
  }

 private:
  void end_tag() { tokens_.expect(token_kind::tag_end, "the end of the tag"); }

  /// `{% name %}`, which `body` stopped at.
  void close(std::string_view name) {
    tokens_.expect(token_kind::block_begin, "a tag");
    if (!tokens_.take_name(name)) {
      tokens_.fail_at(fmt::format("\"{}\"", name));
    }
    end_tag();
  }

  void block(statement_list& statements) {
    const std::string keyword = tokens_.expect(token_kind::name, "a statement").text;
    if (keyword == "if") {
      statements.push_back(branch());
    } else if (keyword == "for") {
      statements.push_back(loop());
    } else if (keyword == "set") {
      statements.push_back(assignment());
    } else if (keyword == "macro") {
      statements.push_back(macro());
    } else if (keyword == "break" || keyword == "continue") {
      end_tag();
      statements.push_back({keyword == "break" ? statement_kind::break_ : statement_kind::continue_});
    } else if (keyword == "generation") {  // transformers' own mark around what a model has said: it prints nothing
      end_tag();
      for (template_statement& inner : body({"endgeneration"})) {
        statements.push_back(std::move(inner));
      }
      close("endgeneration");
    } else {
      throw template_error(fmt::format("the statement \"{}\"", keyword.substr(0, 40)));
    }
  }

  /// From behind `if` or `elif` to behind `endif`.
  template_statement branch() {
    const token_cursor::nesting deeper(tokens_);
    template_statement made{statement_kind::if_};
    made.expression = parse_tuple(tokens_);
    end_tag();
    made.body = body({"elif", "else", "endif"});
    tokens_.expect(token_kind::block_begin, "a tag");
    if (tokens_.take_name("elif")) {
      made.otherwise.push_back(branch());
      return made;
    }
    if (tokens_.take_name("else")) {
      end_tag();
      made.otherwise = body({"endif"});
      tokens_.expect(token_kind::block_begin, "a tag");
    }
    if (!tokens_.take_name("endif")) {
      tokens_.fail_at("\"endif\"");
    }
    end_tag();
    return made;
  }

  template_statement loop() {
    template_statement made{statement_kind::for_};
    const bool bracket = tokens_.take_symbol("(");
    do {
      made.names.push_back(tokens_.expect(token_kind::name, "a loop variable").text);
    } while (tokens_.take_symbol(","));
    if (bracket) {
      tokens_.expect_symbol(")");
    }
    if (!tokens_.take_name("in")) {
      tokens_.fail_at("\"in\"");
    }
    made.expression = parse_tuple(tokens_, false);
    if (tokens_.take_name("if")) {
      made.filter = parse_expression(tokens_);
    }
    if (tokens_.is_name("recursive")) {
      throw template_error("a recursive loop");
    }
    end_tag();
    made.body = body({"else", "endfor"});
    if (tokens_.following().text == "else") {
      close("else");
      made.otherwise = body({"endfor"});
    }
    close("endfor");
    return made;
  }

  template_statement assignment() {
    template_statement made{statement_kind::set, tokens_.expect(token_kind::name, "a variable").text};
    if (tokens_.take_symbol(".")) {
      made.attribute = tokens_.expect(token_kind::name, "an attribute").text;
    }
    if (tokens_.take_symbol("=")) {
      made.expression = parse_tuple(tokens_);
      end_tag();
    } else if (tokens_.is(token_kind::tag_end)) {
      end_tag();
      made.body = body({"endset"});
      close("endset");
    } else {
      tokens_.fail_at("\"=\"");
    }
    return made;
  }

  template_statement macro() {
    template_statement made{statement_kind::macro, tokens_.expect(token_kind::name, "a name").text};
    tokens_.expect_symbol("(");
    while (!tokens_.take_symbol(")")) {
      made.names.push_back(tokens_.expect(token_kind::name, "a parameter").text);
      made.defaults.push_back(tokens_.take_symbol("=") ? parse_expression(tokens_) : nullptr);
      if (!tokens_.is_symbol(")")) {
        tokens_.expect_symbol(",");
      }
    }
    end_tag();
    made.body = body({"endmacro"});
    close("endmacro");
    return made;
  }

  token_cursor& tokens_;
};

}  // namespace

statement_list parse_template(std::string_view source) {
  constexpr std::size_t longest = 1U << 20U;
  if (source.size() > longest) {
    throw template_error(fmt::format("{} bytes, more than {}", source.size(), longest));
  }
  token_cursor tokens(template_tokens(source));
  return statement_parser(tokens).body({});
}

}  // namespace kvtransfer::detail
