#include "experiment/json_pieces.hpp"

#include <utility>

#include "experiment/trial_json.hpp"

namespace kvtransfer::detail {

void json_pieces::begin(char open, char close) {
  begin_value();
  write_(std::string_view(&open, 1));
  levels_.push_back({close});
}

void json_pieces::end() {
  const level ended = levels_.back();
  levels_.pop_back();
  if (!ended.is_empty) {
    write_("\n" + std::string(levels_.size(), ' '));
  }
  write_(std::string_view(&ended.close, 1));
}

void json_pieces::key(const std::string& name) {
  begin_line();
  write_(json_text(name) + ": ");
  has_key_ = true;
}

void json_pieces::value(const nlohmann::ordered_json& value) {
  begin_value();
  const std::string text = json_text(value, 1);
  const std::string indent(levels_.size(), ' ');
  std::size_t begin = 0;  // texts hold no line breaks: JSON escapes them
  for (std::size_t end = text.find('\n'); end != text.npos; end = text.find('\n', begin)) {
    write_(std::string_view(text).substr(begin, end + 1 - begin));
    write_(indent);
    begin = end + 1;
  }
  write_(std::string_view(text).substr(begin));
}

void json_pieces::members(const nlohmann::ordered_json& object) {
  for (const auto& member : object.items()) {
    key(member.key());
    value(member.value());
  }
}

void json_pieces::begin_line() {
  write_(levels_.back().is_empty ? "\n" : ",\n");
  write_(std::string(levels_.size(), ' '));
  levels_.back().is_empty = false;
}

void json_pieces::begin_value() {
  if (!std::exchange(has_key_, false) && !levels_.empty()) {
    begin_line();
  }
}

}  // namespace kvtransfer::detail
