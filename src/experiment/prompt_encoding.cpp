#include "kvtransfer/experiment/prompt_encoding.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/model/read_chat_template.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"

namespace kvtransfer {

namespace {

using id_list = std::vector<std::int64_t>;

constexpr std::string_view named_chat = "chat:";

special_token_texts special_texts(const any_tokenizer& tokens) {
  const boundary_tokens& around = tokens.boundaries();
  return {around.bos ? tokens.token_text(*around.bos) : "",
          around.eos.empty() ? "" : tokens.token_text(around.eos.front())};
}

chat_format recognized_format(const std::filesystem::path& model, const special_token_texts& texts,
                              const chat_format_registry& known) {
  const auto found = read_chat_template(model);
  if (!found) {
    fail<file_error>(model.string(), "chat_template", "a model with one, or its format named as chat:NAME", "none");
  }
  return known.recognize(found->text, texts, found->file);
}

id_list encoded(const any_tokenizer& tokens, const std::vector<chat_segment>& segments, text_begin begin) {
  std::vector<text_segment> plain;
  for (const chat_segment& each : segments) {
    plain.push_back({each.text, each.is_markup});
  }
  return tokens.encode_segments(plain, begin);
}

void append(prompt_text& text, token_role role, id_list ids) {
  if (!ids.empty()) {
    text.push_back({role, std::move(ids)});
  }
}

/// The format's begin is what the head has in common with the ids of that alone; what `source_end`, the head as far as
/// the end of its source, lacks is the separator.
void append_head(prompt_text& text, const id_list& head, const id_list& opening, const id_list& source_end) {
  const auto source = std::ranges::mismatch(head, opening).in1;
  const auto separator = std::ranges::mismatch(head, source_end);
  const auto end = separator.in2 == source_end.end() ? separator.in1 : head.end();
  append(text, token_role::format, {head.begin(), source});
  append(text, token_role::source, {source, end});
  append(text, token_role::format, {end, head.end()});
}

/// And its end, seen from the right.
void append_tail(prompt_text& text, const id_list& tail, const id_list& closing) {
  const auto end = std::mismatch(tail.rbegin(), tail.rend(), closing.rbegin(), closing.rend()).first.base();
  append(text, token_role::target, {tail.begin(), end});
  append(text, token_role::format, {end, tail.end()});
}

std::vector<chat_segment> format_alone(std::vector<chat_segment> segments) {
  std::erase_if(segments, [](const chat_segment& each) { return each.part != chat_part::format; });
  return segments;
}

id_list ids_before(const boundary_tokens& around, const chat_format& format) {
  return around.before.empty() && format.prints_bos ? id_list{around.bos.value()} : around.before;
}

prompt_ids chat_prompts(const prompt_encoding& encoding, const chat_format& format, const test_case& test) {
  const split_chat rendered = render_split_chat(format, encoding.system, test.source, test.target);
  const id_list opening = encoded(encoding.tokens, rendered.opening(), text_begin::fresh);
  const id_list closing = encoded(encoding.tokens, format_alone(rendered.tail), text_begin::continued);
  prompt_ids prompts;
  append(prompts.opening, token_role::bos, ids_before(encoding.tokens.boundaries(), format));
  prompts.head = prompts.opening;
  append(prompts.opening, token_role::format, opening);
  std::vector<chat_segment> as_far_as_source = rendered.opening();
  as_far_as_source.push_back(rendered.head.at(as_far_as_source.size()));
  append_head(prompts.head, encoded(encoding.tokens, rendered.head, text_begin::fresh), opening,
              encoded(encoding.tokens, as_far_as_source, text_begin::fresh));
  append_tail(prompts.tail, encoded(encoding.tokens, rendered.tail, text_begin::continued), closing);
  return prompts;
}

}  // namespace

prompt_encoding open_prompt_encoding(const std::filesystem::path& model, const run_settings& settings,
                                     const chat_format_registry& known) {
  const std::string& form = settings.prompt_form;
  prompt_encoding encoding{open_tokenizer(model), {}, settings.system};
  if (form.starts_with(named_chat)) {
    encoding.chat = known.find(std::string_view(form).substr(named_chat.size()), special_texts(encoding.tokens));
  } else if (form == "chat") {
    encoding.chat = recognized_format(model, special_texts(encoding.tokens), known);
  } else if (form != "raw") {
    fail<value_error>("prompt_form", "form", "raw, chat or chat:NAME", fmt::format("\"{}\"", form));
  }
  if (!encoding.chat && !settings.system.empty()) {
    fail<value_error>("system", "text", "none with raw prompts", fmt::format("{} bytes", settings.system.size()));
  }
  return encoding;
}

prompt_ids encode_prompts(const prompt_encoding& encoding, const test_case& test) {
  const any_tokenizer& tokens = encoding.tokens;
  const bool in_chat = test.prompt_form.empty() ? encoding.chat.has_value() : test.prompt_form == "chat";
  require<value_error>(!in_chat || encoding.chat, test.name, "prompt_form",
                       "a run with --prompt-form chat or chat:NAME, since this test is a chat's", "raw");
  prompt_ids prompts =
      in_chat ? chat_prompts(encoding, *encoding.chat, test)
              : raw_prompts(tokens.boundaries().before, tokens.encode(test.source), tokens.encode(test.target));
  prompts.test = test.name;
  const auto require_some = [&](const prompt_text& text, token_role role) {
    const bool some = std::ranges::any_of(
        text, [&](const prompt_part& part) { return part.role == role && !part.token_ids.empty(); });
    require<value_error>(some, test.name, name_of(role), "at least one token", "none");
  };
  require_some(prompts.head, token_role::source);
  require_some(prompts.tail, token_role::target);
  return prompts;
}

}  // namespace kvtransfer
