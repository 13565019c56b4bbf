#include "experiment/conditions/source_projection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "experiment/input_digest.hpp"
#include "experiment/named_errors.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "kvtransfer/project/project.hpp"
#include "kvtransfer/project/projector_file.hpp"

namespace kvtransfer::detail {

source_projection::source_projection(std::string argument) : argument_(std::move(argument)) {
  const std::size_t at = std::min(argument_.rfind('@'), argument_.size());
  folder_ = argument_.substr(0, at);
  if (at < argument_.size()) {
    sharer_path_ = argument_.substr(at + 1);
    require<value_error>(!sharer_path_.empty() && !folder_.empty(), "conditions", "projected",
                         "FOLDER, or FOLDER@MODEL", formatted("\"{}\"", argument_));
  }
}

std::string source_projection::name() const {
  const auto whole = folder_.lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

void source_projection::bind(const suite_prompts& suite) {
  if (suite.model != receiver_) {
    open(suite);
  }
  if (suite.tests.empty()) {
    return;
  }
  if (sharer_ != nullptr && !sharer_->one_tokenizer) {
    for (const prompt_ids& test : suite.tests) {
      require_same_text(test);
    }
  }
  const auto longest =
      std::ranges::max_element(suite.tests, {}, [](const prompt_ids& test) { return count_of(test.head); });
  prompt_caches first(*receiver_);
  naming(argument_, [&] { static_cast<void>(take(first, longest->head, longest->head, cache_moment::prompt, {})); });
}

void source_projection::open(const suite_prompts& suite) {
  require<value_error>(suite.model != nullptr && suite.tokens != nullptr, "conditions", "projected",
                       "a run whose model and tokenizer are known", "none");
  const causal_lm& model = *suite.model;
  auto stored = open_projector(folder_, model.device());
  std::unique_ptr<sharer> opened;
  if (has_sharer()) {
    opened = std::make_unique<sharer>(causal_lm::open(sharer_path_, model.device(), model.dtype()),
                                      text_codec{open_tokenizer(sharer_path_)});
    const std::string& tokenizer = model.identity.tokenizer;
    opened->one_tokenizer = !tokenizer.empty() && tokenizer == opened->model.identity.tokenizer;
  }
  const model_identity& source = opened == nullptr ? model.identity : opened->model.identity;
  require_models(stored.models, source, model.identity, folder_.string());
  tokens_ = text_codec{*suite.tokens};
  projector_ = std::move(stored.projector);
  made_for_ = std::move(stored.models);
  sharer_ = std::move(opened);
  receiver_ = suite.model;
  digest_ = digest_of_inputs();
}

std::string source_projection::digest_of_inputs() const {
  input_digest inputs;
  for (const char* file : {"projector.json", "projector.safetensors"}) {
    inputs.add_file(folder_ / file);
  }
  if (sharer_ != nullptr) {
    inputs.add_text(sharer_->model.identity.digest.text());
    inputs.add_text(sharer_->model.identity.tokenizer);
  }
  return inputs.text();
}

std::vector<std::int64_t> source_projection::filler_for(const prompt_text& text, std::int64_t slots) const {
  std::vector<std::int64_t> ids;
  const std::int64_t dot = filler_token(*tokens_);
  for (const prompt_part& part : text) {
    if (part.role == token_role::bos) {
      ids.insert(ids.end(), part.token_ids.begin(), part.token_ids.end());
    } else {
      ids.resize(ids.size() + part.token_ids.size(), dot);
    }
  }
  ids.resize(static_cast<std::size_t>(slots), dot);
  return ids;
}

paired_text source_projection::paired_with_sharer(const std::vector<std::int64_t>& ids) const {
  return sharer_->one_tokenizer ? same_text(ids) : pair_text(ids, *tokens_, sharer_->tokens, made_for_.tokens);
}

void source_projection::require_same_text(const prompt_ids& test) const {
  const std::string text = tokens_->decode(ids_of(test.head));
  const std::string shared = sharer_->tokens.decode(sharer_->tokens.encode(text, true));
  require<value_error>(shared == text, argument_, formatted("tokens of test {}", test.test),
                       "a sharer whose tokenizer gives the text back", [&] {
                         const auto differs = std::ranges::mismatch(text, shared).in1 - text.begin();
                         return fmt::format("another text from byte {} on", differs);
                       });
}

taken_cache source_projection::take(prompt_caches& caches, const prompt_text& source, const prompt_text& own,
                                    cache_moment taken, const generation_config& settings) const {
  const bool reads_text = made_for_.reading == receiver_reading::text;
  if (sharer_ == nullptr) {
    taken_cache read = cache_of_text(caches, source, taken, settings);
    taken_cache receiver = reads_text ? cache_of_text(caches, own, taken, settings)
                                      : taken_cache{caches.prefill(filler_for(source, read.kv.size())), read.parts};
    const slot_pairs pairs = slot_pairs::same(std::min(read.kv.size(), receiver.kv.size()));
    return {project(*projector_, read.kv, receiver.kv, pairs).view(), std::move(receiver.parts)};
  }
  const paired_text shared = paired_with_sharer(ids_of(source));
  const cache read = shared.by_receiver(sharer_->caches.prefill(shared.token_ids));
  const prompt_text& counted = reads_text ? own : source;
  const cache_view<> receiver = caches.prefill(reads_text ? ids_of(own) : filler_for(source, count_of(source)));
  slot_pairs pairs = shared.pairs;
  const auto past = std::ranges::lower_bound(pairs.receiver, receiver.size()) - pairs.receiver.begin();
  pairs.receiver.resize(static_cast<std::size_t>(past));
  pairs.source.resize(static_cast<std::size_t>(past));
  return {project(*projector_, read.view(), receiver, pairs).view(), parts_of(counted, true)};
}

}  // namespace kvtransfer::detail
