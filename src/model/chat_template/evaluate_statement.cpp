#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "chat_template.hpp"
#include "evaluator.hpp"
#include "template_error.hpp"

namespace kvtransfer::detail {
namespace {

/// The variable `loop` of pass `at` over `items`.
template_value loop_variable(const value_list& items, std::size_t at) {
  const std::size_t count = items.size();
  value_map loop{{"index0", at},    {"index", at + 1},        {"first", at == 0},           {"last", at + 1 == count},
                 {"length", count}, {"revindex", count - at}, {"revindex0", count - at - 1}};
  if (at > 0) {
    loop.emplace_back("previtem", items[at - 1]);
  }
  if (at + 1 < count) {
    loop.emplace_back("nextitem", items[at + 1]);
  }
  return loop;
}

/// A loop's variables for one item; several take an item apart.
value_map loop_names(const std::vector<std::string>& names, const template_value& item) {
  if (names.size() == 1) {
    return {{names.front(), item}};
  }
  const value_list parts = items_of(item);
  if (parts.size() != names.size()) {
    throw template_error(fmt::format("{} loop variables for {} values", names.size(), parts.size()));
  }
  value_map variables;
  for (std::size_t i = 0; i < names.size(); ++i) {
    variables.emplace_back(names[i], parts[i]);
  }
  return variables;
}

}  // namespace

template_evaluator::template_evaluator(value_map globals, std::optional<std::string> date)
    : frames_{std::move(globals)}, date_(std::move(date)) {}

std::string template_evaluator::run(const statement_list& statements) {
  if (execute(statements) != flow::next) {
    throw template_error("a break or continue outside of a loop");
  }
  return std::move(output_);
}

void template_evaluator::print(std::string_view text) {
  spend(text.size() / 16);
  output_ += text;
  if (output_.size() > longest_text) {
    throw template_error(fmt::format("a text of more than {} bytes", longest_text));
  }
}

std::string template_evaluator::captured(const statement_list& body) {
  std::string before = std::exchange(output_, {});
  if (execute(body) != flow::next) {
    throw template_error("a break or continue outside of a loop");
  }
  return std::exchange(output_, std::move(before));
}

template_evaluator::flow template_evaluator::execute(const statement_list& statements) {
  for (const template_statement& each : statements) {
    spend(1);
    flow left = flow::next;
    switch (each.kind) {
      case statement_kind::text:
        print(each.text);
        break;
      case statement_kind::output:
        print(evaluate(*each.expression).text());
        break;
      case statement_kind::if_:
        left = execute(evaluate(*each.expression).truth() ? each.body : each.otherwise);
        break;
      case statement_kind::for_:
        left = execute_loop(each);
        break;
      case statement_kind::set:
        assign(each);
        break;
      case statement_kind::macro:
        set_name(each.text, macro_value{&each});
        break;
      case statement_kind::break_:
        return flow::break_;
      case statement_kind::continue_:
        return flow::continue_;
    }
    if (left != flow::next) {
      return left;
    }
  }
  return flow::next;
}

template_evaluator::flow template_evaluator::execute_loop(const template_statement& loop) {
  value_list items = items_of(evaluate(*loop.expression));
  constexpr std::size_t pass = 20;  // what the variable `loop` and a frame cost
  spend(pass * items.size());
  if (loop.filter != nullptr) {
    std::erase_if(items, [&](const template_value& item) {
      frames_.push_back(loop_names(loop.names, item));
      const bool kept = evaluate(*loop.filter).truth();
      frames_.pop_back();
      return !kept;
    });
  }
  if (items.empty()) {
    return execute(loop.otherwise);
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    frames_.push_back(loop_names(loop.names, items[i]));
    set_name("loop", loop_variable(items, i));
    const flow left = execute(loop.body);
    frames_.pop_back();
    if (left == flow::break_) {
      break;
    }
  }
  return flow::next;
}

void template_evaluator::set_name(const std::string& name, template_value value) {
  value_map& frame = frames_.back();
  const auto found = std::ranges::find_if(frame, [&](const auto& entry) { return entry.first == name; });
  if (found != frame.end()) {
    found->second = std::move(value);
  } else {
    frame.emplace_back(name, std::move(value));
  }
}

void template_evaluator::assign(const template_statement& set) {
  template_value value = set.expression != nullptr ? evaluate(*set.expression) : template_value(captured(set.body));
  if (set.attribute.empty()) {
    set_name(set.text, std::move(value));
    return;
  }
  const template_value target = lookup(set.text);
  const auto* space = target.get_if<namespace_value>();
  if (space == nullptr) {
    throw template_error(fmt::format("an attribute set on {}", target.description()));
  }
  const template_value checked(value_list{value});  // refuses a namespace in a namespace
  const auto found =
      std::ranges::find_if(*space->attributes, [&](const auto& entry) { return entry.first == set.attribute; });
  if (found != space->attributes->end()) {
    found->second = std::move(value);
  } else {
    space->attributes->emplace_back(set.attribute, std::move(value));
  }
}

std::string chat_template::render(const template_inputs& inputs) const {
  value_list messages;
  for (const chat_message& message : inputs.messages) {
    messages.emplace_back(value_map{{"role", message.role}, {"content", message.content}});
  }
  // transformers hands the last two down as None where there are none.
  value_map globals{{"messages", std::move(messages)},
                    {"add_generation_prompt", true},
                    {"tools", template_value()},
                    {"documents", template_value()}};
  if (!inputs.bos_token.empty()) {
    globals.emplace_back("bos_token", inputs.bos_token);
  }
  if (!inputs.eos_token.empty()) {
    globals.emplace_back("eos_token", inputs.eos_token);
  }
  return template_evaluator(std::move(globals), inputs.date).run(statements_);
}

}  // namespace kvtransfer::detail
