#include "kvtransfer/experiment/prompt_caches.hpp"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>

#include "model/batch_sizes.hpp"

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

prompt_caches::prompt_caches(const causal_lm& model, std::int64_t most_bytes, batching how)
    : model_(&model), most_bytes_(most_bytes), how_(std::move(how)) {}

prompt_caches::request prompt_caches::asked_for(const text_to_continue& text, const generation_config& settings) {
  request asked{text, settings};
  if (settings.temperature == 0) {
    asked.settings->seeds = {};
  }
  return asked;
}

const prompt_caches::entry* prompt_caches::find(const request& asked) {
  const auto found = entries_.find(asked);
  if (found == entries_.end()) {
    return nullptr;
  }
  found->second.last_asked = ++asked_;
  return &found->second;
}

const prompt_caches::entry& prompt_caches::keep(const request& asked, entry made) {
  made.bytes = bytes_of(made.made.view());
  made.last_asked = ++asked_;
  bytes_ += made.bytes;
  ++made_;
  const auto kept = entries_.emplace(asked, std::move(made)).first;
  while (bytes_ > most_bytes_ && entries_.size() > 1) {
    const auto oldest = std::ranges::min_element(entries_, {}, [](const auto& each) { return each.second.last_asked; });
    bytes_ -= oldest->second.bytes;
    entries_.erase(oldest);
  }
  return kept->second;
}

cache_view<> prompt_caches::prefill(const std::vector<std::int64_t>& token_ids) {
  const request asked{{token_ids, false}, std::nullopt};
  const entry* kept = find(asked);
  return (kept != nullptr ? *kept : keep(asked, {{}, kvtransfer::prefill(*model_, {token_ids})})).made.view();
}

continued_text prompt_caches::continued(const text_to_continue& text, const generation_config& settings) {
  const request asked = asked_for(text, settings);
  if (find(asked) == nullptr) {
    if (deferring_) {
      deferred_.emplace_back(text, settings);
      throw continuation_deferred{};  // NOLINT(bugprone-std-exception-baseclass)
    }
    continue_all({{text, settings}});
  }
  const entry& kept = *find(asked);
  return {kept.said, kept.made.view()};
}

std::int64_t prompt_caches::bytes_left_by(const text_to_continue& text, const generation_config& settings) const {
  const std::int64_t slots = static_cast<std::int64_t>(text.token_ids.size()) + settings.max_new_tokens + 1;
  return detail::bytes_of_slots(model_->config, slots, model_->dtype());
}

void prompt_caches::make_deferred() {
  std::set<request> asked;
  std::vector<std::pair<text_to_continue, generation_config>> made;
  std::int64_t bytes = 0;
  for (auto& [text, settings] : std::exchange(deferred_, {})) {
    if (asked.insert(asked_for(text, settings)).second) {
      bytes += bytes_left_by(text, settings);
      if (!made.empty() && bytes > most_bytes_ / 2) {
        break;
      }
      made.emplace_back(std::move(text), std::move(settings));
    }
  }
  continue_all(made);
}

void prompt_caches::continue_all(const std::vector<std::pair<text_to_continue, generation_config>>& texts) {
  std::vector<request> asked;
  std::vector<generation_request> requests;
  std::set<request> known;
  for (const auto& [text, settings] : texts) {
    request one = asked_for(text, settings);
    if (find(one) == nullptr && known.insert(one).second) {
      requests.push_back({plan_of({text.token_ids}), settings, true, text.reads_eos});
      asked.push_back(std::move(one));
    }
  }
  std::vector<generation_result> made = generate_many(*model_, std::move(requests), how_);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    keep(asked[i], {std::move(made[i].said), std::move(*made[i].left)});
  }
}

}  // namespace kvtransfer
