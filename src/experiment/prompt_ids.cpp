#include "kvtransfer/experiment/prompt_ids.hpp"

namespace kvtransfer {

namespace {

prompt_text followed_by(prompt_text text, const prompt_text& more) {
  text.insert(text.end(), more.begin(), more.end());
  return text;
}

}  // namespace

prompt_text prompt_ids::alone() const { return followed_by(opening, tail); }

prompt_text prompt_ids::whole() const { return followed_by(head, tail); }

prompt_ids raw_prompts(std::vector<std::int64_t> before, std::vector<std::int64_t> source,
                       std::vector<std::int64_t> target) {
  prompt_ids prompts;
  if (!before.empty()) {
    prompts.opening.push_back({token_role::bos, std::move(before)});
  }
  prompts.head = followed_by(prompts.opening, {{token_role::source, std::move(source)}});
  prompts.tail.push_back({token_role::target, std::move(target)});
  return prompts;
}

std::int64_t count_of(const prompt_text& text) { return length_of(parts_of(text, false)); }

std::vector<std::int64_t> ids_of(const prompt_text& text) {
  std::vector<std::int64_t> ids;
  for (const prompt_part& part : text) {
    ids.insert(ids.end(), part.token_ids.begin(), part.token_ids.end());
  }
  return ids;
}

sequence parts_of(const prompt_text& text, bool injected) {
  sequence parts;
  for (const prompt_part& part : text) {
    parts.push_back({part.role, static_cast<std::int64_t>(part.token_ids.size()), injected});
  }
  return parts;
}

bool begins_with_bos(const prompt_text& text) { return !text.empty() && text.front().role == token_role::bos; }

prompt_text without_bos(const prompt_text& text) {
  return {text.begin() + (begins_with_bos(text) ? 1 : 0), text.end()};
}

std::pair<prompt_text, prompt_part> without_last_token(prompt_text text) {
  prompt_part last{text.back().role, {text.back().token_ids.back()}};
  text.back().token_ids.pop_back();
  if (text.back().token_ids.empty()) {
    text.pop_back();
  }
  return {std::move(text), std::move(last)};
}

}  // namespace kvtransfer
