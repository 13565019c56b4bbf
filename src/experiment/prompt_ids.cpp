#include "kvtransfer/experiment/prompt_ids.hpp"

#include <fmt/format.h>

#include <string>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/tokenizer.hpp"

namespace kvtransfer {

prompt_ids encode_prompts(const tokenizer& text, const test_case& test) {
  prompt_ids prompts{text.bos(), text.encode(test.source), text.encode(test.target)};
  const auto require_some = [&](const std::vector<std::int64_t>& ids, const char* which) {
    require<value_error>(!ids.empty(), test.name, which, "at least one token", "none");
  };
  require_some(prompts.source, "source");
  require_some(prompts.target, "target");
  return prompts;
}

std::vector<std::int64_t> begun_text(const prompt_ids& prompts, const std::vector<std::int64_t>& ids) {
  std::vector<std::int64_t> text;
  if (prompts.bos) {
    text.push_back(*prompts.bos);
  }
  text.insert(text.end(), ids.begin(), ids.end());
  return text;
}

sequence begun_parts(const prompt_ids& prompts, token_role role, std::int64_t count, bool injected) {
  sequence parts;
  if (prompts.bos) {
    parts.push_back({token_role::bos, 1, injected});
  }
  parts.push_back({role, count, injected});
  return parts;
}

}  // namespace kvtransfer
