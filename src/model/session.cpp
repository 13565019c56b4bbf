#include "kvtransfer/model/session.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <variant>

#include "kvtransfer/core/alike.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"
#include "model/attention.hpp"
#include "model/block_attention.hpp"
#include "model/kept_rotations.hpp"
#include "model/model_snapshot.hpp"
#include "model/plan_checks.hpp"
#include "model/plan_frame.hpp"
#include "model/rotary_tables.hpp"
#include "model/shared_prefix.hpp"
#include "model/slot_visibility.hpp"
#include "model/transformer.hpp"

namespace kvtransfer {

class session::implementation {
 public:
  implementation(const causal_lm& model, const plan& input, std::int64_t capacity)
      : model_(&accepting(model, input)),
        origin_(detail::origin_of(model)),
        frame_(detail::injected_frame(model.config, input)),
        rotations_(model.config, model.dtype(), model.device()) {
    require<value_error>(capacity >= 0, "session", "capacity", "0 tokens or more", fmt::format("{}", capacity));
    at::NoGradGuard no_grad;
    for (std::int64_t i = 0; i < model.config.layers; ++i) {
      reserve(input, i, capacity);
    }
    share_visibility(input);
    for (std::int64_t b = 0; b < input.batch(); ++b) {
      next_position_.push_back(input.positions.row(0, b, 0).last_position().value_or(-1) + 1);
    }
    read_plan(input);
  }

  [[nodiscard]] const at::Tensor& logits() const { return logits_; }
  [[nodiscard]] std::int64_t batch() const { return static_cast<std::int64_t>(next_position_.size()); }
  [[nodiscard]] std::int64_t length() const {
    std::int64_t slots = 0;
    for (std::int64_t layer = 0; layer < frame_.layers(); ++layer) {
      slots = std::max(slots, frame_.layer(layer).size());
    }
    return slots;
  }
  [[nodiscard]] const std::vector<std::int64_t>& next_positions() const { return next_position_; }

  void step(const std::vector<std::optional<std::int64_t>>& next) {
    if (static_cast<std::int64_t>(next.size()) != batch()) {
      fail<shape_error>("session::step", "next", fmt::format("{} entries", batch()), fmt::format("{}", next.size()));
    }
    std::vector<std::vector<std::int64_t>> ids;     // as the cache keeps them, -1 for padding
    std::vector<std::vector<std::int64_t>> tokens;  // as the model reads them
    std::vector<position_row> rows;
    std::vector<std::int64_t> after = next_position_;
    for (std::size_t b = 0; b < next.size(); ++b) {
      ids.push_back({next[b].value_or(-1)});
      tokens.push_back({next[b].value_or(0)});
      rows.push_back(
          position_row::consecutive(next_position_[b], 1, next[b] ? slot_state::rotated() : slot_state::padding()));
      after[b] += next[b] ? 1 : 0;
    }
    const position_map positions(1, batch(), 1, std::move(rows));
    detail::require_tokens_known(model_->config, tokens);
    detail::require_positions_known(model_->config, positions);
    require_capacity(1);
    require_same_model("session::step");
    at::NoGradGuard no_grad;
    const std::vector<detail::slot_visibility> visible = visibility_;
    std::swap(next_position_, after);
    try {
      read(token_tensor(tokens, 0, model_->device()), positions, ids);
    } catch (...) {  // for lack of memory, say: the token was not read
      std::swap(next_position_, after);
      visibility_ = visible;
      throw;
    }
  }

  [[nodiscard]] cache release() {
    require_same_model("session::release");
    detail::require_weights_on_disk_unchanged(*model_);
    for (std::int64_t layer = 0; layer < frame_.layers(); ++layer) {
      if (const detail::shared_prefix& prefix = prefix_of(layer); prefix.segments > 0) {
        put_in_front(prefix.keys, keys_, layer);
        put_in_front(prefix.values, values_, layer);
      }
    }
    return cache(std::move(keys_), std::move(values_), std::move(frame_), as_written);
  }

 private:
  /// The model, if it can run the plan.
  static const causal_lm& accepting(const causal_lm& model, const plan& input) {
    detail::require_runnable(model, input);
    return model;  // NOLINT(bugprone-return-const-ref-from-parameter): the session refers to it anyway
  }

  /// One layer's buffers with the segments in front; those that all sequences share are kept once, ahead of them.
  void reserve(const plan& input, std::int64_t layer, std::int64_t capacity) {
    const model_config& config = model_->config;
    const std::vector<segment>& segments = input.segments(layer);
    prefixes_.push_back(detail::shared_prefix_of(segments));
    detail::shared_prefix& prefix = prefixes_.back();
    prefix.keys = prefix.keys.defined() ? prefix.keys.clone() : prefix.keys;
    prefix.values = prefix.values.defined() ? prefix.values.clone() : prefix.values;
    const std::int64_t slots = input.injected(layer) - prefix.size() + input.size() + capacity;
    const at::TensorOptions options = model_->weights.embed_tokens.options().requires_grad(false);
    keys_.push_back(at::empty({input.batch(), config.kv_heads, slots, config.head_dim}, options));
    values_.push_back(at::empty({input.batch(), config.kv_heads, slots, config.head_dim}, options));
    std::int64_t start = 0;
    for (const segment& part : std::span(segments).subspan(prefix.segments)) {
      keys_.back().slice(2, start, start + part.kv().size()).copy_(part.kv().keys());
      values_.back().slice(2, start, start + part.kv().size()).copy_(part.kv().values());
      start += part.kv().size();
    }
  }

  /// Layers with the same window whose segments have the same frames and the same visibility share one record of it,
  /// and so one mask.
  void share_visibility(const plan& input) {
    const std::vector<attention_specification>& attention = model_->config.attention;
    const auto seen_alike = [&](std::size_t a, std::size_t b) {
      return attention[a].window == attention[b].window &&
             std::ranges::equal(input.segments(static_cast<std::int64_t>(a)),
                                input.segments(static_cast<std::int64_t>(b)), [](const segment& x, const segment& y) {
                                  return x.kv().shared_frame() == y.kv().shared_frame() && x.visible.is_same(y.visible);
                                });
    };
    visibility_of_ =
        make_for_alike(static_cast<std::size_t>(model_->config.layers), seen_alike, [&](std::size_t layer) {
          visibility_.emplace_back(input.segments(static_cast<std::int64_t>(layer)), attention[layer].window,
                                   input.batch(), model_->device());
          return visibility_.size() - 1;
        });
  }

  /// Reads the plan's tokens, so many at once that what layers make of them takes a bounded room.
  void read_plan(const plan& input) {
    const at::Tensor tokens = token_tensor(input.token_ids, 0, model_->device());
    const std::vector<std::vector<std::int64_t>> ids = detail::padded_ids(input.token_ids);
    const std::int64_t count = input.size();
    for (std::int64_t begin = 0; begin < count; begin += turn) {
      const std::int64_t end = std::min(begin + turn, count);
      std::vector<std::vector<std::int64_t>> part;
      for (const std::vector<std::int64_t>& row : ids) {
        part.emplace_back(row.begin() + begin, row.begin() + end);
      }
      read(tokens.slice(1, begin, end),
           begin == 0 && end == count ? input.positions : input.positions.slice(begin, end), part, end == count);
    }
  }

  /// The rotary specifications in force while the longest sequence has `reach` tokens.
  [[nodiscard]] const std::vector<rotary_specification>& rotary_at(std::int64_t reach) {
    if (rotary_.empty() || rotations_.depends_on_length()) {
      rotary_ = rotary_specifications(model_->config, reach);
    }
    return rotary_;
  }

  /// Runs the model over new tokens `[batch, n]` and keeps their keys and values.
  /// @param scored whether what follows them is asked for
  void read(const at::Tensor& tokens, const position_map& positions, const std::vector<std::vector<std::int64_t>>& ids,
            bool scored = true) {
    const std::int64_t count = positions.size();
    const std::int64_t reach = *std::max_element(next_position_.begin(), next_position_.end());
    const cache_frame tail = detail::written_frame(rotary_at(reach), positions, ids, origin_);
    std::vector<std::variant<detail::visible_keys, detail::visible_slots>> seen;
    for (detail::slot_visibility& visibility : visibility_) {
      visibility.append(positions);
      if (visibility.mask_elements(count) > most_masked) {
        seen.emplace_back(visibility.told_without_mask());
      } else {
        seen.emplace_back(visibility.seen_by(count, model_->config.q_heads));
      }
    }
    const auto attend = [&](std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
      const auto& shown = seen[visibility_of_[static_cast<std::size_t>(layer)]];
      const at::Tensor keys = grown(keys_, layer, k);
      const at::Tensor values = grown(values_, layer, v);
      const attention_specification& how = model_->config.attention[static_cast<std::size_t>(layer)];
      if (const auto* const slots = std::get_if<detail::visible_slots>(&shown)) {
        return detail::attend_in_blocks(how, prefix_of(layer), q, keys, values, *slots);
      }
      return detail::attend_behind(how, prefix_of(layer), q, keys, values, std::get<detail::visible_keys>(shown));
    };
    const at::Tensor hidden = decoded(tokens, positions, reach, attend);
    at::Tensor logits = logits_;
    if (scored) {
      logits = detail::vocabulary_logits(model_->config, model_->weights, hidden.select(1, count - 1));
    }
    frame_.append(tail);
    logits_ = std::move(logits);
  }

  /// The decoder over tokens at `positions`: tables of single tokens are looked up, those of texts made for them alone.
  template <class Attend>
  at::Tensor decoded(const at::Tensor& tokens, const position_map& positions, std::int64_t reach, Attend&& attend) {
    const std::vector<rotary_specification>& rotary = rotary_at(reach);
    if (positions.size() > 1) {
      const detail::rotary_tables tables(rotary, position_tensor(positions, model_->device()), model_->dtype());
      return detail::hidden_states(model_->config, model_->weights, tokens, rotary, tables, attend);
    }
    std::vector<detail::rotation_place> places;
    for (const position_row& row : positions.rows()) {
      places.push_back({row.last_position().value_or(0), reach});
    }
    rotations_.select(places, batch());
    return detail::hidden_states(model_->config, model_->weights, tokens, rotary, rotations_, attend);
  }

  /// @throws frame_error where the model is no longer the one that what is held here is said to be of
  void require_same_model(std::string_view where) const {
    const std::string changed = origin_.is_known() ? model_->changed() : std::string();
    require<frame_error>(changed.empty(), where, "model",
                         "the weights that wrote what it holds (begin another session)",
                         [&] { return fmt::format("a change of {}", changed); });
  }

  /// Before anything has changed. @throws shape_error unless there are slots for `count` more tokens
  void require_capacity(std::int64_t count) const {
    const std::int64_t left = keys_.front().size(2) - slots_by_sequence(0);  // the same in every layer
    if (count > left) {
      fail<shape_error>("session::step", "capacity", fmt::format("{} slots left", count), fmt::format("{}", left));
    }
  }

  [[nodiscard]] const detail::shared_prefix& prefix_of(std::int64_t layer) const {
    return prefixes_[static_cast<std::size_t>(layer)];
  }

  /// Slots that a layer's buffers hold, those of the shared prefix not among them.
  [[nodiscard]] std::int64_t slots_by_sequence(std::int64_t layer) const {
    return frame_.layer(layer).size() - prefix_of(layer).size();
  }

  /// Writes a layer's new keys (or values) behind those it holds and returns all of them.
  at::Tensor grown(std::vector<at::Tensor>& buffers, std::int64_t layer, const at::Tensor& more) const {
    const at::Tensor& buffer = buffers[static_cast<std::size_t>(layer)];
    const std::int64_t start = slots_by_sequence(layer);
    const std::int64_t end = start + more.size(2);
    buffer.slice(2, start, end).copy_(more);
    return buffer.slice(2, 0, end);
  }

  /// Gives every sequence of a layer's buffer its own copy of what all shared.
  void put_in_front(const at::Tensor& shared, std::vector<at::Tensor>& buffers, std::int64_t layer) const {
    at::Tensor& buffer = buffers[static_cast<std::size_t>(layer)];
    buffer = at::cat({shared.expand({batch(), -1, -1, -1}), buffer.slice(2, 0, slots_by_sequence(layer))}, 2);
  }

  static constexpr std::int64_t turn = 8192;  // tokens read at once
  /// Elements of a mask from which on attention goes block by block instead.
  static constexpr std::int64_t most_masked = std::int64_t{1} << 18;

  const causal_lm* model_;
  cache_origin origin_;  // of what is written here
  cache_frame frame_;
  std::vector<detail::shared_prefix> prefixes_;  // one a layer
  std::vector<at::Tensor> keys_;                 // behind them
  std::vector<at::Tensor> values_;
  std::vector<detail::slot_visibility> visibility_;
  std::vector<std::size_t> visibility_of_;
  std::vector<std::int64_t> next_position_;
  detail::kept_rotations rotations_;
  std::vector<rotary_specification> rotary_;  // in force at the last read
  at::Tensor logits_;
};

session::session(const causal_lm& model, const plan& input, std::int64_t capacity)
    : state_(std::make_unique<implementation>(model, input, capacity)) {}

session::session(session&&) noexcept = default;
session& session::operator=(session&&) noexcept = default;
session::~session() = default;

const at::Tensor& session::logits() const { return state_->logits(); }
std::int64_t session::batch() const { return state_->batch(); }
std::int64_t session::length() const { return state_->length(); }
const std::vector<std::int64_t>& session::next_positions() const { return state_->next_positions(); }

void session::step(const std::vector<std::optional<std::int64_t>>& next) { state_->step(next); }

cache session::release() && { return state_->release(); }

}  // namespace kvtransfer
