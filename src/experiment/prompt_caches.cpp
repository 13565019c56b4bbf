#include "kvtransfer/experiment/prompt_caches.hpp"

#include <algorithm>
#include <utility>

#include "kvtransfer/model/session.hpp"

namespace kvtransfer {

namespace {

std::int64_t bytes_of(const cache_view<>& kv) {
  std::int64_t bytes = 0;
  for (std::int64_t layer = 0; layer < kv.layers(); ++layer) {
    bytes +=
        static_cast<std::int64_t>(kv.layer(layer).stored_keys().nbytes() + kv.layer(layer).stored_values().nbytes());
  }
  return bytes;
}

}  // namespace

prompt_caches::prompt_caches(const causal_lm& model, std::int64_t most_bytes)
    : model_(&model), most_bytes_(most_bytes) {}

template <class Make>
const prompt_caches::entry& prompt_caches::find_or_make(const request& asked, Make&& make) {
  auto found = entries_.find(asked);
  if (found == entries_.end()) {
    found = entries_.emplace(asked, make()).first;
    found->second.bytes = bytes_of(found->second.made.view());
    bytes_ += found->second.bytes;
    ++made_;
  }
  found->second.last_asked = ++asked_;
  while (bytes_ > most_bytes_ && entries_.size() > 1) {
    const auto oldest = std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
      return a.second.last_asked < b.second.last_asked;
    });
    bytes_ -= oldest->second.bytes;
    entries_.erase(oldest);
  }
  return found->second;
}

cache_view<> prompt_caches::prefill(const std::vector<std::int64_t>& token_ids) {
  const request asked{{token_ids, false}, std::nullopt};
  return find_or_make(asked, [&] { return entry{{}, kvtransfer::prefill(*model_, {token_ids})}; }).made.view();
}

continued_text prompt_caches::continued(const text_to_continue& text, const generation_config& settings) {
  request asked{text, settings};
  if (settings.temperature == 0) {
    asked.settings->seeds = {};
  }
  const entry& kept = find_or_make(asked, [&] {
    constexpr std::int64_t eos = 1;
    session running(*model_, plan_of({text.token_ids}), std::max<std::int64_t>(settings.max_new_tokens, 0) + eos);
    completion said = std::move(generate(*model_, running, settings).front());
    if (text.reads_eos && said.eos_token_id) {
      running.step({said.eos_token_id});
    }
    return entry{std::move(said), std::move(running).release()};
  });
  return {kept.said, kept.made.view()};
}

}  // namespace kvtransfer
