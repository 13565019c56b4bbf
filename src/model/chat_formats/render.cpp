#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "../chat_template/unicode_text.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/chat_format.hpp"

namespace kvtransfer {
namespace {

/// Segments in the making: empty ones are left out, and markup that follows markup joins it.
class segment_list {
 public:
  void markup(std::string_view text) {
    if (text.empty()) {
      return;
    }
    if (!segments_.empty() && segments_.back().is_markup) {
      segments_.back().text += text;
    } else {
      segments_.push_back({std::string(text), true, chat_part::format});
    }
  }

  void plain(std::string_view text, chat_part part) { segments_.push_back({std::string(text), false, part}); }

  std::vector<chat_segment> release() { return std::move(segments_); }

 private:
  std::vector<chat_segment> segments_;
};

void require_some(const chat_format& format, std::string_view text, std::string_view what) {
  require<value_error>(!text.empty(), "chat format " + format.name, what, "some text",
                       "none, or nothing but white space");
}

/// Everything in front of the user's text.
void open_turn(segment_list& segments, const chat_format& format, std::string_view system) {
  const bool inside = format.placement == system_placement::in_user_turn;
  if (inside) {
    segments.markup(format.before_user);
  }
  if (!system.empty()) {
    if (format.placement == system_placement::refused) {
      fail<value_error>("chat format " + format.name, "system", "no system text, since this model's template has none",
                        fmt::format("{} bytes", system.size()));
    }
    const std::string_view kept = format.strips_system ? detail::strip(system) : system;
    require_some(format, kept, "system");
    segments.markup(format.before_system);
    segments.plain(kept, chat_part::format);
    segments.markup(format.after_system);
  }
  if (!inside) {
    segments.markup(format.before_user);
  }
}

void close_turn(segment_list& segments, const chat_format& format) {
  segments.markup(format.after_user);
  segments.markup(format.assistant_prompt);
}

std::string_view left_kept(const chat_format& format, std::string_view system, std::string_view text) {
  const bool led = !system.empty() && format.placement == system_placement::in_user_turn;
  const bool strips = format.user == user_strip::text || (format.user == user_strip::content && !led);
  return strips ? detail::strip_left(text) : text;
}

std::string_view right_kept(const chat_format& format, std::string_view text) {
  return format.user == user_strip::nothing ? text : detail::strip_right(text);
}

}  // namespace

std::string text_of(const std::vector<chat_segment>& segments) {
  std::string text;
  for (const chat_segment& each : segments) {
    text += each.text;
  }
  return text;
}

std::vector<chat_segment> render_chat(const chat_format& format, std::string_view system, std::string_view user) {
  const std::string_view kept = right_kept(format, left_kept(format, system, user));
  require_some(format, kept, "user");
  segment_list segments;
  open_turn(segments, format, system);
  segments.plain(kept, chat_part::target);
  close_turn(segments, format);
  return segments.release();
}

split_chat render_split_chat(const chat_format& format, std::string_view system, std::string_view source,
                             std::string_view target) {
  const std::string_view begun = left_kept(format, system, source);
  const std::string_view ended = right_kept(format, target);
  require_some(format, begun, "source");
  require_some(format, ended, "target");
  segment_list head;
  open_turn(head, format, system);
  head.plain(begun, chat_part::source);
  head.plain(source_separator, chat_part::format);
  segment_list tail;
  tail.plain(ended, chat_part::target);
  close_turn(tail, format);
  return {head.release(), tail.release()};
}

std::vector<chat_segment> split_chat::opening() const {
  const auto source = std::ranges::find(head, chat_part::source, &chat_segment::part);
  return {head.begin(), source};
}

}  // namespace kvtransfer
