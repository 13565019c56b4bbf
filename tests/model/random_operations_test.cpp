#include "model/random_operations.hpp"

#include <ATen/ops/empty.h>

#include <cmath>
#include <exception>
#include <limits>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/concat.hpp"
#include "kvtransfer/cache/crop.hpp"
#include "kvtransfer/cache/edited.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/cache/halves.hpp"
#include "kvtransfer/cache/reorder.hpp"
#include "kvtransfer/cache/scatter.hpp"
#include "kvtransfer/cache/select_heads.hpp"
#include "kvtransfer/cache/select_layers.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "support/small_model.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

using slot_row = std::vector<reference_slot>;
using token_rows = std::vector<std::vector<std::int64_t>>;

constexpr double tolerance = 5e-4;  // of fp32 against double; a position off by one is a thousand times that
constexpr std::size_t most_slots = 40;

/// Both sides of one cache.
struct held_cache {
  cache library;
  reference_cache expected;
  std::uint64_t number;  // no two caches have one
};

/// A view that is looked at later, and what it showed.
struct kept_view {
  cache_view<> view;
  reference_cache expected;
  std::uint64_t number;     // of its cache
  std::vector<bool> moved;  // the layers whose memory was changed since
};

/// A mistake that the library does not make, for the test of this test.
enum class planted { nothing, gaps_closed_one_further_after_an_edit };

/// Three caches, and what can be done with them.
class world {
 public:
  world(const causal_lm& model, const vector_model& slow, planted fault)
      : model_(&model), slow_(&slow), fault_(fault), caches_(3) {}

  /// Does the operation on both sides. @return how they differ; empty where they do not
  std::string run(const operation& asked) {
    done_.clear();
    refused_ = false;
    std::string difference = dispatch(asked);
    for (std::size_t i = 0; difference.empty() && i < caches_.size(); ++i) {
      if (caches_[i]) {
        difference = compared(caches_[i]->library.view(), caches_[i]->expected);
        difference = difference.empty() ? "" : fmt::format("cache {}: {}", i, difference);
      }
    }
    return difference;
  }

  /// The last operation in words; empty where there was nothing to do.
  [[nodiscard]] const std::string& done() const { return done_; }
  /// Whether it was refused, as was expected.
  [[nodiscard]] bool refused() const { return refused_; }

 private:
  std::string dispatch(const operation& asked) {
    number_source more(asked.numbers);
    if (asked.what == operation::prefill) {
      return prefill_cache(asked, more);
    }
    if (asked.what == operation::look_at_view) {
      return look();
    }
    std::optional<held_cache>& first = caches_[asked.numbers[0] % 3];
    std::optional<held_cache>& second = caches_[asked.numbers[1] % 3];
    if (!first) {
      return "";
    }
    switch (asked.what) {
      case operation::shift:
      case operation::remap:
      case operation::unrotate:
      case operation::rotate:
      case operation::close_gaps:
      case operation::materialize:
      case operation::crop:
        return move_cache(asked, *first, more);
      case operation::concat:
      case operation::scatter:
      case operation::halves:
        return second ? join(asked, *first, *second, more) : "";
      case operation::read:
        return read(asked, *first, more);
      case operation::keep_view:
        done_ = fmt::format("keep a view of cache {}", asked.numbers[0] % 3);
        kept_.emplace(kept_view{first->library.view(), first->expected, first->number,
                                std::vector<bool>(first->expected.layers.size())});
        return "";
      default:
        return choose(asked, *first, more);
    }
  }

  /// Does `act`, which must be refused where `refused` says so, and then put `result` in place.
  template <class Act>
  std::string put(std::size_t into, bool refused, reference_cache result, Act&& act) {
    std::optional<cache> made;
    const attempt_outcome outcome = attempt([&] { made.emplace(act()); });
    if (outcome.refused != refused) {
      return refused ? "not refused" : "refused: " + outcome.message;
    }
    refused_ = refused;
    if (!refused) {
      caches_[into].emplace(held_cache{std::move(*made), std::move(result), ++last_number_});
    }
    return "";
  }

  std::string prefill_cache(const operation& asked, number_source& more) {
    token_rows texts;
    for (std::size_t b = 0; b <= asked.numbers[1] % 2; ++b) {
      texts.push_back(random_text(1 + asked.numbers[2] % 6 + (b == 0 ? 0 : more.below(3)), more));
    }
    done_ =
        fmt::format("cache {} = prefill of {} tokens in {} rows", asked.numbers[0] % 3, texts[0].size(), texts.size());
    reference_cache result = without_slots(texts.size());
    vector_of_doubles ignored;
    read_rows(texts, std::vector<std::int64_t>(texts.size(), 0), seen_by(result), result, ignored);
    return put(asked.numbers[0] % 3, false, std::move(result), [&] { return kvtransfer::prefill(*model_, texts); });
  }

  std::string move_cache(const operation& asked, held_cache& held, number_source& more) {
    const std::size_t index = asked.numbers[0] % 3;
    reference_cache moved = held.expected;
    bool refused = false;
    std::function<void()> act;
    switch (asked.what) {
      case operation::shift: {
        const std::int64_t delta = static_cast<std::int64_t>(asked.numbers[2]) - (more.one_in(2) ? 20 : 0);
        done_ = fmt::format("shift cache {} by {}", index, delta);
        moved.for_each_key([&](reference_slot& slot) { slot.position += delta; });
        act = [&, delta] { held.library.shift(delta); };
        break;
      }
      case operation::remap: {
        std::vector<position_row> rows;
        std::vector<std::vector<std::int64_t>> places;
        for (std::size_t b = 0; b < moved.batch(); ++b) {
          std::int64_t next = asked.numbers[2];
          places.emplace_back();
          for (std::size_t i = 0; i < moved.size(0); ++i) {
            places.back().push_back(next);
            next += 1 + static_cast<std::int64_t>(more.one_in(3) ? more.below(4) : 0);
          }
          rows.push_back(position_row::listed(places.back()));
        }
        done_ = fmt::format("remap cache {} to positions from {} on", index, asked.numbers[2]);
        moved.for_each_row([&](slot_row& row, std::size_t, std::size_t b, std::size_t) {
          refused = refused || row.size() != places[b].size();
          for (std::size_t i = 0; !refused && i < row.size(); ++i) {
            row[i].position = row[i].key == nullptr ? 0 : places[b][i];
          }
        });
        act = [&held, map = position_map(1, static_cast<std::int64_t>(rows.size()), 1, rows)] {
          held.library.remap(map);
        };
        break;
      }
      case operation::unrotate:
      case operation::rotate: {
        const bool on = asked.what == operation::rotate;
        done_ = fmt::format("{} cache {}", on ? "rotate" : "unrotate", index);
        moved.for_each_key([&](reference_slot& slot) {
          refused = refused || slot.rotated == on;
          slot.rotated = on;
        });
        act = [&, on] { on ? held.library.rotate(rotary_specifications(model_->config)) : held.library.unrotate(); };
        break;
      }
      case operation::close_gaps: {
        const std::int64_t first = asked.numbers[2] % 4;
        done_ = fmt::format("close the gaps of cache {} from {} on", index, first);
        moved.for_each_row([&](slot_row& row, std::size_t, std::size_t, std::size_t) {
          std::int64_t next = first;
          for (reference_slot& slot : row) {
            slot.position = slot.key == nullptr ? 0 : next++;
          }
        });
        const bool wrong = fault_ == planted::gaps_closed_one_further_after_an_edit &&
                           moved.any_key([](const reference_slot& slot) { return slot.edited; });
        act = [&, first, wrong] { held.library.close_gaps(first + (wrong ? 1 : 0)); };
        break;
      }
      case operation::materialize: {
        done_ = fmt::format("materialize cache {}", index);
        note_moves(held);
        settle(moved);
        act = [&] { held.library.materialize(); };
        break;
      }
      default: {
        const std::size_t length = asked.numbers[2] % (moved.size(0) + 2);
        done_ = fmt::format("crop cache {} to {}", index, length);
        refused = length > moved.shortest();
        moved = refused ? moved : sliced(moved, 0, length);
        act = [&, length] { held.library.crop(static_cast<std::int64_t>(length)); };
      }
    }
    const attempt_outcome outcome = attempt(act);
    if (outcome.refused != refused) {
      return refused ? "not refused" : "refused: " + outcome.message;
    }
    refused_ = refused;
    if (!refused) {
      held.expected = std::move(moved);
    }
    return "";
  }

  /// Makes cache numbers[1] of cache numbers[0].
  std::string choose(const operation& asked, held_cache& held, number_source& more) {
    const std::size_t into = asked.numbers[1] % 3;
    const reference_cache& source = held.expected;
    const std::string from_to = fmt::format("of cache {} as cache {}", asked.numbers[0] % 3, into);
    switch (asked.what) {
      case operation::slice: {
        const std::size_t begin = asked.numbers[2] % (source.size(0) + 1);
        const std::size_t end = begin + more.below(source.size(0) - begin + 2);
        done_ = fmt::format("slots [{}, {}) {}", begin, end, from_to);
        const bool refused = end > source.shortest();
        return put(into, refused, refused ? source : sliced(source, begin, end), [&] {
          return cache(held.library.view().slice(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end)));
        });
      }
      case operation::crop_rows: {
        std::vector<std::int64_t> lengths;
        for (std::size_t b = 0; b < source.batch(); ++b) {
          lengths.push_back(static_cast<std::int64_t>((asked.numbers[2] + more.below(4)) % (source.size(0) + 1)));
        }
        done_ = fmt::format("the first {} keys of each row {}", lengths[0], from_to);
        reference_cache kept = source;
        std::size_t end = 0;
        kept.for_each_row([&](slot_row& row, std::size_t, std::size_t b, std::size_t) {
          std::int64_t left = lengths[b];
          for (std::size_t i = 0; i < row.size(); ++i) {
            row[i] = row[i].key != nullptr && left-- > 0 ? row[i] : reference_slot{};
            end = row[i].key != nullptr ? std::max(end, i + 1) : end;
          }
        });
        const bool refused = end > source.shortest();
        return put(into, refused, refused ? source : sliced(kept, 0, end),
                   [&] { return cache(crop(held.library.view(), lengths)); });
      }
      case operation::gather:
        return gather_slots(asked, held, more, from_to);
      case operation::edit: {
        done_ = "edit " + from_to;
        reference_cache changed = source;
        settle(changed);
        changed.for_each_key([](reference_slot& slot) {
          slot.value_scale *= 0.5;
          slot.edited = true;
        });
        return put(into, false, std::move(changed), [&] {
          const cache_view<> view = held.library.view();
          std::vector<at::Tensor> keys;
          std::vector<at::Tensor> values;
          for (std::int64_t layer = 0; layer < view.layers(); ++layer) {
            keys.push_back(view.layer(layer).keys().clone());
            values.push_back(view.layer(layer).values() * 0.5);
          }
          return edited(view, keys, values, {edit_kind::other, cache_half::values, {}, {}, {}, "half of each value"});
        });
      }
      case operation::save_and_load: {
        const bool whoever = asked.numbers[2] % 2 == 1;
        done_ = fmt::format("{} saved and loaded{}", from_to, whoever ? " whoever wrote it" : "");
        reference_cache loaded = source;
        settle(loaded);
        return put(into, !source.origin_known && !whoever, std::move(loaded), [&] {
          const temporary_folder folder;
          save_cache(folder.path() / "cache", held.library);
          const cache_file file = cache_file::open(folder.path() / "cache");
          file.verify();
          return whoever ? file.load(any_model) : file.load(model_->identity);
        });
      }
      case operation::reorder: {
        std::vector<std::int64_t> rows;
        for (std::size_t i = 0; i <= asked.numbers[2] % 2; ++i) {
          rows.push_back(static_cast<std::int64_t>(more.below(source.batch())));
        }
        done_ = fmt::format("rows {} {}", fmt::join(rows, ", "), from_to);
        reference_cache chosen = source;
        for (std::size_t layer = 0; layer < chosen.layers.size(); ++layer) {
          chosen.layers[layer].clear();
          for (const std::int64_t row : rows) {
            chosen.layers[layer].push_back(source.layers[layer][static_cast<std::size_t>(row)]);
          }
        }
        return put(into, false, std::move(chosen), [&] { return reorder(held.library.view(), rows); });
      }
      case operation::select_heads: {
        done_ = "heads 1, 0 " + from_to;
        reference_cache chosen = source;
        for (reference_rows& layer : chosen.layers) {
          for (auto& heads : layer) {
            std::swap(heads[0], heads[1]);
          }
        }
        chosen.origin_known = false;
        return put(into, false, std::move(chosen), [&] { return select_heads(held.library.view(), {1, 0}); });
      }
      default: {
        done_ = "layers 1, 0 " + from_to;
        reference_cache chosen = source;
        std::swap(chosen.layers[0], chosen.layers[1]);
        chosen.origin_known = false;
        return put(into, false, std::move(chosen), [&] { return cache(select_layers(held.library.view(), {1, 0})); });
      }
    }
  }

  /// Slots of each layer, sequence and head as `gather` is to choose them.
  std::string gather_slots(const operation& asked, held_cache& held, number_source& more, const std::string& from_to) {
    const reference_cache& source = held.expected;
    const std::size_t layers = source.layers.size();
    const bool by_layer = more.one_in(4);
    const std::size_t rows = more.one_in(2) ? source.batch() : 1;
    const std::size_t heads = more.one_in(3) ? 2 : 1;
    std::vector<std::vector<std::int64_t>> chosen(layers);  // [layer][row * heads * n]
    std::vector<std::size_t> counts(layers);
    for (std::size_t layer = 0; layer < layers; ++layer) {
      if (layer > 0 && !by_layer) {
        chosen[layer] = chosen[0];
        counts[layer] = counts[0];
        continue;
      }
      const std::size_t size = source.size(by_layer ? layer : 0);
      counts[layer] = (asked.numbers[2] + (by_layer ? more.below(3) : 0)) % (size + 1);
      for (std::size_t i = 0; i < rows * heads; ++i) {
        std::vector<std::int64_t> slots;
        for (std::size_t slot = 0; slot < size; ++slot) {
          slots.push_back(static_cast<std::int64_t>(slot));
        }
        while (slots.size() > counts[layer]) {
          slots.erase(slots.begin() + static_cast<std::ptrdiff_t>(more.below(slots.size())));
        }
        if (!slots.empty() && more.one_in(8)) {
          slots.front() = more.one_in(2) ? -1 : slots.back();
        }
        chosen[layer].insert(chosen[layer].end(), slots.begin(), slots.end());
      }
    }
    done_ = fmt::format("{} slots{}{}{} {}", counts[0], by_layer ? " by layer" : "", rows > 1 ? " by row" : "",
                        heads > 1 ? " by head" : "", from_to);
    const auto slot_at = [&](std::size_t layer, std::size_t b, std::size_t head, std::size_t i) {
      return chosen[layer][((rows > 1 ? b : 0) * heads + (heads > 1 ? head : 0)) * counts[layer] + i];
    };
    bool refused = false;
    reference_cache result = source;
    result.for_each_row([&](slot_row& row, std::size_t layer, std::size_t b, std::size_t head) {
      std::set<std::int64_t> taken;
      slot_row picked;
      for (std::size_t i = 0; i < counts[layer]; ++i) {
        const std::int64_t slot = slot_at(layer, b, head, i);
        refused = refused || slot >= static_cast<std::int64_t>(row.size()) || (slot >= 0 && !taken.insert(slot).second);
        picked.push_back(slot < 0 || refused ? reference_slot{} : row[static_cast<std::size_t>(slot)]);
      }
      row = picked;
    });
    const auto choice = [&](std::size_t layer) {
      const at::Tensor slots = at::empty(
          {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(heads), static_cast<std::int64_t>(counts[layer])},
          at::kLong);
      std::ranges::copy(chosen[layer], slots.mutable_data_ptr<std::int64_t>());
      return slot_choice(slots);
    };
    return put(asked.numbers[1] % 3, refused, refused ? source : std::move(result), [&] {
      return by_layer ? gather(held.library.view(), std::vector<slot_choice>{choice(0), choice(1)})
                      : gather(held.library.view(), choice(0));
    });
  }

  std::string join(const operation& asked, held_cache& first, held_cache& second, number_source& more) {
    const reference_cache& a = first.expected;
    const reference_cache& b = second.expected;
    const std::size_t into = asked.numbers[2] % 3;
    const std::string names =
        fmt::format("caches {} and {} as cache {}", asked.numbers[0] % 3, asked.numbers[1] % 3, into);
    if (a.size(0) + b.size(0) > most_slots) {
      return "";
    }
    const bool same_kind = a.batch() == b.batch() && a.origin_known == b.origin_known;
    reference_cache result = a;
    if (asked.what == operation::concat) {
      done_ = "concat " + names;
      bool refused = !same_kind;
      for (std::size_t layer = 0; !refused && layer < a.layers.size(); ++layer) {
        refused = !written_alike(a, b, layer) || overlaps(a.layers[layer], b.layers[layer], {});
      }
      if (!refused) {
        result.for_each_row([&](slot_row& row, std::size_t layer, std::size_t batch, std::size_t head) {
          const slot_row& tail = b.layers[layer][batch][head];
          row.insert(row.end(), tail.begin(), tail.end());
        });
      }
      return put(into, refused, std::move(result), [&] { return concat(first.library.view(), second.library.view()); });
    }
    if (asked.what == operation::scatter) {
      std::vector<std::int64_t> slots;
      for (std::size_t i = 0; i < b.size(0); ++i) {
        slots.push_back(
            more.one_in(6) || a.size(0) == 0 ? -1 : static_cast<std::int64_t>((i + asked.numbers[2]) % a.size(0)));
      }
      done_ = fmt::format("scatter {} at slots {}", names, fmt::join(slots, ", "));
      bool refused = !same_kind;
      std::set<std::int64_t> taken;
      for (const std::int64_t slot : slots) {
        refused = refused || (slot >= 0 && !taken.insert(slot).second);
      }
      for (std::size_t layer = 0; !refused && layer < a.layers.size(); ++layer) {
        refused =
            b.size(layer) != slots.size() || !written_alike(a, b, layer) ||
            std::ranges::any_of(taken, [&](std::int64_t s) { return s >= static_cast<std::int64_t>(a.size(layer)); });
        reference_rows going = b.layers[layer];
        for (auto& heads : going) {
          for (slot_row& row : heads) {
            for (std::size_t i = 0; i < row.size() && i < slots.size(); ++i) {
              row[i] = slots[i] < 0 ? reference_slot{} : row[i];
            }
          }
        }
        refused = refused || overlaps(a.layers[layer], going, taken);
      }
      if (!refused) {
        result.for_each_row([&](slot_row& row, std::size_t layer, std::size_t batch, std::size_t head) {
          for (std::size_t i = 0; i < slots.size(); ++i) {
            if (slots[i] >= 0) {
              row[static_cast<std::size_t>(slots[i])] = b.layers[layer][batch][head][i];
              row[static_cast<std::size_t>(slots[i])].edited = true;
            }
          }
        });
      }
      return put(into, refused, std::move(result),
                 [&] { return scatter(first.library.view(), slots, second.library.view()); });
    }
    done_ = "keys and values of " + names;
    bool refused = !same_kind;
    result.for_each_row([&](slot_row& row, std::size_t layer, std::size_t batch, std::size_t head) {
      refused = refused || row.size() != b.layers[layer][batch][head].size();
      for (std::size_t i = 0; !refused && i < row.size(); ++i) {
        const reference_slot& other = b.layers[layer][batch][head][i];
        refused = (row[i].key == nullptr) != (other.key == nullptr);
        row[i].value = other.value;
        row[i].value_layer = other.value_layer;
        row[i].value_head = other.value_head;
        row[i].value_scale = other.value_scale;
        row[i].edited = row[i].edited || other.edited || &first != &second;
      }
    });
    return put(into, refused, refused ? a : std::move(result),
               [&] { return cache(keys_with_values_of(first.library.view(), second.library.view())); });
  }

  /// Reads texts behind a cache some of whose slots are hidden, and a few tokens more; the cache that this leaves.
  std::string read(const operation& asked, held_cache& held, number_source& more) {
    const reference_cache& source = held.expected;
    const std::size_t into = asked.numbers[1] % 3;
    const std::size_t batch = source.batch() == 1 && more.one_in(4) ? 2 : source.batch();
    const std::int64_t gap = more.one_in(3) ? static_cast<std::int64_t>(more.below(200)) : 0;
    const std::size_t steps = more.below(3);
    token_rows texts;
    for (std::size_t b = 0; b < batch; ++b) {
      texts.push_back(random_text(1 + asked.numbers[2] % 3 + (b == 0 ? 0 : more.below(2)), more));
    }
    reference_cache left = source;
    for (reference_rows& layer : left.layers) {
      layer.resize(batch, layer.front());
    }
    const std::vector<at::Tensor> visible = hide_some(left, batch, more);
    done_ = fmt::format("read {} rows of {} tokens behind cache {}{}, gap {}, and {} more: cache {}", batch,
                        texts[0].size(), asked.numbers[0] % 3, visible.empty() ? "" : " with hidden slots", gap, steps,
                        into);
    std::vector<std::int64_t> starts(batch, gap);
    for (std::size_t b = 0; b < batch; ++b) {
      std::optional<std::int64_t> last;
      for (const reference_rows& layer : source.layers) {
        for (const slot_row& row : layer[source.batch() == 1 ? 0 : b]) {
          for (const reference_slot& slot : row) {
            last = slot.key == nullptr ? last : std::max(last.value_or(slot.position), slot.position);
          }
        }
      }
      starts[b] = last.value_or(-1) + 1 + gap;
    }
    const std::int64_t limit = position_limit(model_->config).value_or(0);
    bool refused = source.any_key([](const reference_slot& slot) { return !slot.rotated; });
    for (std::size_t layer = 0; layer < source.layers.size(); ++layer) {
      refused = refused || (!source.origin_known && source.size(layer) > 0);
    }
    for (std::size_t b = 0; b < batch; ++b) {
      refused = refused || starts[b] + static_cast<std::int64_t>(texts[b].size()) > limit;
    }
    std::optional<session> running;
    at::Tensor in_one_pass;
    const attempt_outcome outcome = attempt([&] {
      plan input = prepend(held.library.view(), texts, place::gap{gap});
      for (std::size_t layer = 0; layer < visible.size(); ++layer) {
        input.layers[layer].front().visible = visible[layer];
      }
      running.emplace(*model_, input, static_cast<std::int64_t>(steps));
      in_one_pass = plan_logits(*model_, input).select(1, input.size() - 1);
    });
    if (outcome.refused != refused) {
      return refused ? "not refused" : "refused: " + outcome.message;
    }
    refused_ = refused;
    if (refused) {
      return "";
    }
    settle(left);
    left.origin_known = true;
    std::vector<seen_slots> seen = seen_by(left);
    std::vector<vector_of_doubles> logits(batch);
    std::vector<bool> said(batch, true);
    for (std::size_t step = 0; step <= steps; ++step) {
      token_rows next = texts;
      if (step > 0) {
        std::vector<std::optional<std::int64_t>> given;
        for (std::size_t b = 0; b < batch; ++b) {
          said[b] = !more.one_in(5);
          next[b] = said[b] ? random_text(1, more) : std::vector<std::int64_t>{};
          given.push_back(said[b] ? std::optional(next[b][0]) : std::nullopt);
        }
        const bool ends = std::ranges::any_of(running->next_positions(), [&](std::int64_t p) { return p >= limit; });
        if (ends) {
          break;
        }
        running->step(given);
      }
      read_rows(next, starts, seen, left, logits, said);
      for (std::size_t b = 0; b < batch; ++b) {
        if (const std::string far = said[b] ? far_from(logits[b], running->logits(), b) : ""; !far.empty()) {
          return fmt::format("logits of row {} after step {}: {}", b, step, far);
        }
        if (const std::string far = step == 0 ? far_from(logits[b], in_one_pass, b) : ""; !far.empty()) {
          return fmt::format("plan_logits of row {}: {}", b, far);
        }
        starts[b] += static_cast<std::int64_t>(next[b].size());
      }
    }
    caches_[into].emplace(held_cache{std::move(*running).release(), std::move(left), ++last_number_});
    return "";
  }

  std::string look() {
    if (!kept_) {
      return "";
    }
    done_ = "look at the view";
    for (std::size_t layer = 0; layer < kept_->expected.layers.size(); ++layer) {
      if (!kept_->expected.any_key_in(layer, [](const reference_slot&) { return true; })) {
        continue;
      }
      const attempt_outcome outcome =
          attempt([&] { (void)kept_->view.layer(static_cast<std::int64_t>(layer)).keys(); });
      if (outcome.refused != kept_->moved[layer]) {
        return kept_->moved[layer] ? "a view of keys that were moved was not refused" : "refused: " + outcome.message;
      }
      refused_ = refused_ || outcome.refused;
    }
    const bool whole = std::ranges::none_of(kept_->moved, [](bool moved) { return moved; });
    return whole ? compared(kept_->view, kept_->expected) : "";
  }

  // What both sides are made of.

  [[nodiscard]] std::vector<std::int64_t> random_text(std::size_t count, number_source& more) const {
    std::vector<std::int64_t> ids;
    for (std::size_t i = 0; i < count; ++i) {
      ids.push_back(static_cast<std::int64_t>(1 + (i + more.below(96)) % 96));
    }
    return ids;
  }

  [[nodiscard]] reference_cache without_slots(std::size_t batch) const {
    const auto heads = static_cast<std::size_t>(model_->config.kv_heads);
    return {std::vector<reference_rows>(static_cast<std::size_t>(model_->config.layers),
                                        reference_rows(batch, std::vector<slot_row>(heads)))};
  }

  static reference_cache sliced(reference_cache source, std::size_t begin, std::size_t end) {
    source.for_each_row([&](slot_row& row, std::size_t, std::size_t, std::size_t) {
      row = slot_row(row.begin() + static_cast<std::ptrdiff_t>(begin), row.begin() + static_cast<std::ptrdiff_t>(end));
    });
    return source;
  }

  static void settle(reference_cache& moved) {
    moved.for_each_key([](reference_slot& slot) {
      slot.stored_position = slot.position;
      slot.stored_rotated = slot.rotated;
    });
  }

  void note_moves(const held_cache& held) {
    for (std::size_t layer = 0; kept_ && kept_->number == held.number && layer < held.expected.layers.size(); ++layer) {
      kept_->moved[layer] = kept_->moved[layer] || held.expected.any_key_in(layer, &reference_slot::moves);
    }
  }

  /// Whether keys of both are all rotated, or all not, or mixed in the same way; a layer without keys goes with any.
  static bool written_alike(const reference_cache& a, const reference_cache& b, std::size_t layer) {
    const auto ways = [&](const reference_cache& of) {
      return std::pair(of.any_key_in(layer, [](const reference_slot& slot) { return slot.rotated; }),
                       of.any_key_in(layer, [](const reference_slot& slot) { return !slot.rotated; }));
    };
    const auto none = std::pair(false, false);
    return ways(a) == none || ways(b) == none || ways(a) == ways(b);
  }

  /// Whether a key of `more` stands where one of `into` does that is not in a slot of `replaced`.
  static bool overlaps(const reference_rows& into, const reference_rows& more, const std::set<std::int64_t>& replaced) {
    for (std::size_t b = 0; b < into.size(); ++b) {
      for (std::size_t head = 0; head < into[b].size(); ++head) {
        std::set<std::int64_t> taken;
        for (std::size_t i = 0; i < into[b][head].size(); ++i) {
          if (into[b][head][i].key != nullptr && !replaced.contains(static_cast<std::int64_t>(i))) {
            taken.insert(into[b][head][i].position);
          }
        }
        for (const reference_slot& slot : more[b][head]) {
          if (slot.key != nullptr && taken.contains(slot.position)) {
            return true;
          }
        }
      }
    }
    return false;
  }

  /// Makes some slots of `left` padding, for all heads or for one. @return what shows the plan the same, none: nothing
  static std::vector<at::Tensor> hide_some(reference_cache& left, std::size_t batch, number_source& more) {
    std::vector<at::Tensor> visible;
    const std::size_t heads = more.one_in(2) ? 2 : 1;
    const bool hides = more.one_in(2);
    for (std::size_t layer = 0; hides && layer < left.layers.size(); ++layer) {
      const std::size_t slots = left.size(layer);
      const at::Tensor shown = at::empty(
          {static_cast<std::int64_t>(batch), static_cast<std::int64_t>(heads), static_cast<std::int64_t>(slots)},
          at::kBool);
      bool* out = shown.mutable_data_ptr<bool>();
      for (std::size_t b = 0; b < batch; ++b) {
        for (std::size_t head = 0; head < heads; ++head) {
          for (std::size_t i = 0; i < slots; ++i) {
            *out = !more.one_in(4);
            for (std::size_t of = heads == 1 ? 0 : head; !*out && of < (heads == 1 ? 2 : head + 1); ++of) {
              left.layers[layer][b][of][i] = {};
            }
            ++out;
          }
        }
      }
      visible.push_back(shown);
    }
    return visible;
  }

  [[nodiscard]] vector_of_doubles key_of(const reference_slot& slot) const {
    const vector_of_doubles& plain = slot.key->keys[slot.key_layer][slot.key_head];
    return slot.rotated ? slow_->rotated(plain, slot.position) : plain;
  }

  [[nodiscard]] static vector_of_doubles value_of(const reference_slot& slot) {
    vector_of_doubles value = slot.value->values[slot.value_layer][slot.value_head];
    std::ranges::transform(value, value.begin(), [&](double x) { return x * slot.value_scale; });
    return value;
  }

  /// What each sequence's next token sees.
  [[nodiscard]] std::vector<seen_slots> seen_by(const reference_cache& held) const {
    std::vector<seen_slots> all;
    for (std::size_t b = 0; b < held.batch(); ++b) {
      seen_slots& seen = all.emplace_back();
      for (const reference_rows& layer : held.layers) {
        seen.emplace_back();
        for (const slot_row& row : layer[b]) {
          seen.back().emplace_back();
          for (const reference_slot& slot : row) {
            if (slot.key != nullptr) {
              seen.back().back().push_back({key_of(slot), value_of(slot)});
            }
          }
        }
      }
    }
    return all;
  }

  /// Reads a text a row, padded in front, and keeps what is written behind what `held` has.
  void read_rows(const token_rows& texts, const std::vector<std::int64_t>& starts, std::vector<seen_slots>& seen,
                 reference_cache& held, std::vector<vector_of_doubles>& logits, const std::vector<bool>& said) const {
    std::size_t longest = 1;
    for (const std::vector<std::int64_t>& text : texts) {
      longest = std::max(longest, text.size());
    }
    for (std::size_t b = 0; b < texts.size(); ++b) {
      const auto append = [&](const std::shared_ptr<const written_token>& token, std::int64_t position) {
        for (std::size_t layer = 0; layer < held.layers.size(); ++layer) {
          for (std::size_t head = 0; head < held.layers[layer][b].size(); ++head) {
            held.layers[layer][b][head].push_back(
                token == nullptr
                    ? reference_slot{}
                    : reference_slot{token, token, layer, head, layer, head, position, true, position, true});
          }
        }
      };
      for (std::size_t i = texts[b].size(); i < longest; ++i) {
        append(nullptr, 0);
      }
      for (std::size_t i = 0; said[b] && i < texts[b].size(); ++i) {
        const std::int64_t position = starts[b] + static_cast<std::int64_t>(i);
        append(slow_->read(texts[b][i], position, seen[b], logits[b]), position);
      }
    }
  }

  void read_rows(const token_rows& texts, const std::vector<std::int64_t>& starts, std::vector<seen_slots> seen,
                 reference_cache& held, vector_of_doubles&) const {
    std::vector<vector_of_doubles> logits(texts.size());
    read_rows(texts, starts, seen, held, logits, std::vector<bool>(texts.size(), true));
  }

  static std::string far_from(const vector_of_doubles& expected, const at::Tensor& rows, std::size_t b) {
    const at::Tensor found = rows[static_cast<std::int64_t>(b)].contiguous();
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double off = std::abs(static_cast<double>(found.const_data_ptr<float>()[i]) - expected[i]);
      if (!(off <= tolerance)) {
        return fmt::format("token {} is off by {:.1e}", i, off);
      }
    }
    return "";
  }

  /// How the library's cache differs from the vectors; empty where it does not.
  [[nodiscard]] std::string compared(const cache_view<>& view, const reference_cache& expected) const {
    const cache_frame& frame = view.frame();
    if (frame.origin().is_known() != expected.origin_known || frame.assumed()) {
      return "another origin, or assumed";
    }
    if (frame.edits().empty() && expected.any_key([](const reference_slot& slot) { return slot.edited; })) {
      return "an edit is forgotten";
    }
    for (std::size_t layer = 0; layer < expected.layers.size(); ++layer) {
      const layer_view<>& part = view.layer(static_cast<std::int64_t>(layer));
      const at::Tensor keys = part.keys().contiguous();
      const at::Tensor values = part.values().contiguous();
      if (keys.size(0) != static_cast<std::int64_t>(expected.batch()) ||
          keys.size(2) != static_cast<std::int64_t>(expected.size(layer))) {
        return fmt::format("layer {} has {} rows of {} slots", layer, keys.size(0), keys.size(2));
      }
      const token_rows& ids = frame.token_ids(static_cast<std::int64_t>(layer));
      const float* key = keys.const_data_ptr<float>();
      const float* value = values.const_data_ptr<float>();
      for (std::size_t b = 0; b < expected.batch(); ++b) {
        for (std::size_t head = 0; head < expected.layers[layer][b].size(); ++head) {
          const slot_row& row = expected.layers[layer][b][head];
          const auto runs = part.frame()
                                .positions.row(0, static_cast<std::int64_t>(b), static_cast<std::int64_t>(head))
                                .one_run_per_slot();
          for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string at = fmt::format("layer {}, row {}, head {}, slot {}", layer, b, head, i);
            std::string off = off_slot(runs[i], row[i], key, value);
            off = off.empty() ? off_token(ids, b, i, row[i]) : off;
            if (!off.empty()) {
              return at + ": " + off;
            }
            key += keys.size(3);
            value += values.size(3);
          }
        }
      }
    }
    return "";
  }

  [[nodiscard]] std::string off_slot(const position_run& found, const reference_slot& slot, const float* key,
                                     const float* value) const {
    if (found.state.is_padding() != (slot.key == nullptr)) {
      return found.state.is_padding() ? "padding where a key is" : "a key where padding is";
    }
    if (slot.key == nullptr) {
      return "";
    }
    if (found.state.is_rotated() != slot.rotated || found.first != slot.position) {
      return fmt::format("{} at {}, expected {} at {}", found.state.is_rotated() ? "rotated" : "unrotated", found.first,
                         slot.rotated ? "rotated" : "unrotated", slot.position);
    }
    const auto far = [](const vector_of_doubles& expected, const float* is) {
      double most = 0;
      for (const double number : expected) {
        const double off = std::abs(static_cast<double>(*is++) - number);
        most = std::isfinite(off) ? std::max(most, off) : std::numeric_limits<double>::infinity();
      }
      return most;
    };
    const double key_off = far(key_of(slot), key);
    const double value_off = far(value_of(slot), value);
    return key_off > tolerance || value_off > tolerance
               ? fmt::format("key off by {:.1e}, value by {:.1e}", key_off, value_off)
               : "";
  }

  /// Token ids may be forgotten; they are never another's.
  static std::string off_token(const token_rows& ids, std::size_t b, std::size_t i, const reference_slot& slot) {
    if (ids.empty() || slot.key == nullptr || ids[b][i] < 0 || slot.edited) {
      return "";
    }
    return ids[b][i] == slot.key->id ? "" : fmt::format("token {}, expected {}", ids[b][i], slot.key->id);
  }

  const causal_lm* model_;
  const vector_model* slow_;
  planted fault_;
  std::vector<std::optional<held_cache>> caches_;
  std::optional<kept_view> kept_;
  std::uint64_t last_number_ = 0;
  std::string done_;
  bool refused_ = false;
};

causal_lm tiny_model() {
  nlohmann::json config = small_config();
  config["num_hidden_layers"] = 2;
  config["hidden_size"] = 32;
  config["intermediate_size"] = 48;
  return small_model(5, config);
}

/// Runs sequences and remembers what was done.
struct runner {
  causal_lm model = tiny_model();
  vector_model slow{model};
  planted fault = planted::nothing;
  std::vector<std::string> log = {};
  std::array<std::array<std::uint32_t, 2>, operation::kinds> counts = {};  ///< done and refused, by kind

  /// The first difference; empty where there is none.
  std::string run(const std::vector<operation>& sequence) {
    world both(model, slow, fault);
    log.clear();
    std::string difference;
    for (std::size_t i = 0; difference.empty() && i < sequence.size(); ++i) {
      try {
        difference = both.run(sequence[i]);
      } catch (const std::exception& thrown) {
        difference = fmt::format("{}", thrown.what());
      }
      if (!both.done().empty()) {
        log.push_back(both.done());
        ++counts[sequence[i].what][both.refused() ? 1 : 0];
      }
    }
    return difference;
  }

  /// A failing sequence as a few lines: what is done, then what differs.
  std::string explained(const std::vector<operation>& failing) {
    const std::vector<operation> least =
        shrunk(failing, [&](const std::vector<operation>& shorter) { return !run(shorter).empty(); });
    const std::string difference = run(least);
    return fmt::format("{}\n-> {}", fmt::join(log, "\n"), difference);
  }

  void check(std::uint32_t first, std::uint32_t count) {
    std::uint32_t failed = 0;
    for (std::uint32_t seed = first; seed < first + count && failed < 5; ++seed) {
      const std::vector<operation> sequence = random_sequence(seed);
      if (!run(sequence).empty()) {
        ++failed;
        FAIL_CHECK("sequence " << seed << ":\n" << explained(sequence));
      }
    }
  }
};

}  // namespace

TEST_CASE("random operations on caches say what plain vectors say, or are refused where those say so",
          "[model][random_operations]") {
  runner both;
  both.check(1, 300);
  using kind = operation::kind;
  for (std::size_t what = 0; what < operation::kinds; ++what) {
    CAPTURE(what, both.counts[what][0], both.counts[what][1]);
    CHECK(both.counts[what][0] >= 8);  // each was tried, and not only refused
  }
  for (const kind what : {operation::remap, operation::unrotate, operation::rotate, operation::crop, operation::slice,
                          operation::gather, operation::concat, operation::scatter, operation::halves,
                          operation::save_and_load, operation::read, operation::look_at_view}) {
    CAPTURE(static_cast<int>(what));
    CHECK(both.counts[what][1] >= 1);  // and refused where the vectors say so
  }
}

TEST_CASE("ten thousand sequences of random operations say what plain vectors say",
          "[model][random_operations][long]") {
  runner().check(1'000, 10'000);
}

TEST_CASE("a sequence that fails shrinks to the few operations that it takes", "[model][random_operations]") {
  runner wrong{.fault = planted::gaps_closed_one_further_after_an_edit};
  std::uint32_t found = 0;
  for (std::uint32_t seed = 1; seed < 2'000 && found < 3; ++seed) {
    const std::vector<operation> sequence = random_sequence(seed);
    if (!wrong.run(sequence).empty()) {
      ++found;
      const std::string shown = wrong.explained(sequence);
      CAPTURE(seed, shown);
      CHECK(wrong.log.size() <= 4);  // a cache, what edits it, the closing
      CHECK(wrong.log.front().find("prefill") != std::string::npos);
      CHECK(wrong.log.back().find("close the gaps") != std::string::npos);
      CHECK(shown.find("-> cache") != std::string::npos);
    }
  }
  CHECK(found == 3);
}
