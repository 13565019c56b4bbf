#include "experiment/conditions/source_projection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "experiment/named_errors.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "kvtransfer/project/paired_source.hpp"
#include "kvtransfer/project/project.hpp"
#include "kvtransfer/project/projector_file.hpp"
#include "kvtransfer/project/token_alignment.hpp"

namespace kvtransfer::detail {

namespace {

/// A token that tells nothing.
std::int64_t dot_of(const text_codec& codec) { return codec.encode(".", false).back(); }

/// BOS for BOS, EOS for EOS.
std::map<std::int64_t, std::int64_t> paired_boundaries(const boundary_tokens& from, const boundary_tokens& to) {
  std::map<std::int64_t, std::int64_t> pairs;
  if (from.bos && to.bos) {
    pairs[*from.bos] = *to.bos;
  }
  for (std::size_t i = 0; i < std::min(from.eos.size(), to.eos.size()); ++i) {
    pairs[from.eos[i]] = to.eos[i];
  }
  return pairs;
}

}  // namespace

source_projection::source_projection(std::string argument) : argument_(std::move(argument)) {
  const std::size_t at = std::min(argument_.rfind('@'), argument_.size());
  folder_ = argument_.substr(0, at);
  if (at < argument_.size()) {
    sharer_path_ = argument_.substr(at + 1);
    require<value_error>(!sharer_path_.empty() && !folder_.empty(), "conditions", "projected",
                         "FOLDER, or FOLDER@MODEL", formatted("\"{}\"", argument_));
  }
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
  require<device_error>(model.device().is_cpu(), argument_, "device", "cpu, where projectors are read",
                        [&] { return model.device().str(); });
  auto stored = open_projector(folder_);
  std::unique_ptr<sharer> opened;
  if (has_sharer()) {
    opened = std::make_unique<sharer>(causal_lm::open(sharer_path_, model.device(), model.dtype()),
                                      text_codec{open_tokenizer(sharer_path_)});
    const std::string& tokenizer = model.identity.tokenizer;
    opened->one_tokenizer = !tokenizer.empty() && tokenizer == opened->model.identity.tokenizer;
    opened->special = paired_boundaries(suite.tokens->boundaries(), opened->tokens.tokens.boundaries());
  }
  const model_identity& source = opened == nullptr ? model.identity : opened->model.identity;
  require_models(stored.models, source, model.identity, folder_.string());
  tokens_ = text_codec{*suite.tokens};
  projector_ = std::move(stored.projector);
  made_for_ = std::move(stored.models);
  sharer_ = std::move(opened);
  receiver_ = suite.model;
}

std::vector<std::int64_t> source_projection::filler_for(const prompt_text& text, std::int64_t slots) const {
  std::vector<std::int64_t> ids;
  const std::int64_t dot = dot_of(*tokens_);
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

source_projection::paired_text source_projection::read_by_sharer(const std::vector<std::int64_t>& ids) const {
  const text_codec& tokens = sharer_->tokens;
  const auto count = static_cast<std::int64_t>(ids.size());
  if (sharer_->one_tokenizer) {
    return {cache(sharer_->caches.prefill(ids)), slot_pairs::same(count)};
  }
  if (made_for_.tokens == token_pairing::text) {
    const std::vector<std::int64_t> own = encode_whole(tokens.tokens, tokens_->decode(ids));
    const auto slots = source_slots_by_text(token_texts(ids, *tokens_), token_texts(own, tokens));
    const position_map positions(1, 1, 1, {position_row::consecutive(0, count)});
    return {paired_source(sharer_->caches.prefill(own), slots, positions), slot_pairs::same(count)};
  }
  const bool longest = made_for_.tokens == token_pairing::longest;
  const token_alignment partners = align_tokens(ids, *tokens_, tokens, sharer_->special, dot_of(tokens),
                                                longest ? alignment_choice::longest : alignment_choice::first);
  return {cache(sharer_->caches.prefill(partners.token_ids)), partners.pairs()};
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
  paired_text shared = read_by_sharer(ids_of(source));
  const prompt_text& counted = reads_text ? own : source;
  const cache_view<> receiver = caches.prefill(reads_text ? ids_of(own) : filler_for(source, count_of(source)));
  slot_pairs& pairs = shared.pairs;
  const auto past = std::ranges::lower_bound(pairs.receiver, receiver.size()) - pairs.receiver.begin();
  pairs.receiver.resize(static_cast<std::size_t>(past));
  pairs.source.resize(static_cast<std::size_t>(past));
  return {project(*projector_, shared.kv.view(), receiver, pairs).view(), parts_of(counted, true)};
}

}  // namespace kvtransfer::detail
