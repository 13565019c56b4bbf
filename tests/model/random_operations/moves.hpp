#pragma once

// Operations that change one cache where it stands.

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvtransfer/model/causal_lm.hpp"
#include "model/random_operations/expected_change.hpp"
#include "model/random_operations/operation.hpp"

namespace kvtransfer::test {

/// A mistake that the library does not make, for the test of this test.
enum class planted { nothing, gaps_closed_one_further_after_an_edit };

/// The moves of one cache, each as it must come out.
class moves {
 public:
  moves(const causal_lm& model, planted fault, const operation& asked, held_cache& held, number_source& more)
      : model_(&model), fault_(fault), asked_(&asked), held_(&held), more_(&more) {}

  [[nodiscard]] expected_change<void> expected() const {
    switch (asked_->what) {
      case operation::shift:
        return shift();
      case operation::remap:
        return remap();
      case operation::unrotate:
      case operation::rotate:
        return restate(asked_->what == operation::rotate);
      case operation::close_gaps:
        return close_gaps();
      case operation::materialize:
        return materialize();
      default:
        return crop();
    }
  }

 private:
  [[nodiscard]] std::size_t index() const { return asked_->numbers[0] % 3; }
  [[nodiscard]] std::uint32_t number() const { return asked_->numbers[2]; }
  [[nodiscard]] cache& library() const { return held_->library; }

  [[nodiscard]] expected_change<void> shift() const {
    const std::int64_t delta = static_cast<std::int64_t>(number()) - (more_->one_in(2) ? 20 : 0);
    expected_change<void> change{fmt::format("shift cache {} by {}", index(), delta), false, held_->expected};
    change.result.for_each_key([&](reference_slot& slot) { slot.position += delta; });
    change.act = [&kv = library(), delta] { kv.shift(delta); };
    return change;
  }

  [[nodiscard]] expected_change<void> remap() const {
    expected_change<void> change{fmt::format("remap cache {} to positions from {} on", index(), number()), false,
                                 held_->expected};
    std::vector<position_row> rows;
    std::vector<std::vector<std::int64_t>> places;
    for (std::size_t b = 0; b < change.result.batch(); ++b) {
      std::int64_t next = number();
      places.emplace_back();
      for (std::size_t i = 0; i < change.result.size(0); ++i) {
        places.back().push_back(next);
        next += 1 + static_cast<std::int64_t>(more_->one_in(3) ? more_->below(4) : 0);
      }
      rows.push_back(position_row::listed(places.back()));
    }
    change.result.for_each_row([&](slot_row& row, std::size_t, std::size_t b, std::size_t) {
      change.refused = change.refused || row.size() != places[b].size();
      for (std::size_t i = 0; !change.refused && i < row.size(); ++i) {
        row[i].position = row[i].key == nullptr ? 0 : places[b][i];
      }
    });
    change.act = [&kv = library(), map = position_map(1, static_cast<std::int64_t>(rows.size()), 1, rows)] {
      kv.remap(map);
    };
    return change;
  }

  [[nodiscard]] expected_change<void> restate(bool rotated) const {
    expected_change<void> change{fmt::format("{} cache {}", rotated ? "rotate" : "unrotate", index()), false,
                                 held_->expected};
    change.result.for_each_key([&](reference_slot& slot) {
      change.refused = change.refused || slot.rotated == rotated;
      slot.rotated = rotated;
    });
    change.act = [&kv = library(), rotated, model = model_] {
      rotated ? kv.rotate(rotary_specifications(model->config)) : kv.unrotate();
    };
    return change;
  }

  [[nodiscard]] expected_change<void> close_gaps() const {
    const std::int64_t first = number() % 4;
    expected_change<void> change{fmt::format("close the gaps of cache {} from {} on", index(), first), false,
                                 held_->expected};
    change.result.for_each_row([&](slot_row& row, std::size_t, std::size_t, std::size_t) {
      std::int64_t next = first;
      for (reference_slot& slot : row) {
        slot.position = slot.key == nullptr ? 0 : next++;
      }
    });
    const bool wrong = fault_ == planted::gaps_closed_one_further_after_an_edit &&
                       change.result.any_key([](const reference_slot& slot) { return slot.edited; });
    change.act = [&kv = library(), first, wrong] { kv.close_gaps(first + (wrong ? 1 : 0)); };
    return change;
  }

  [[nodiscard]] expected_change<void> materialize() const {
    expected_change<void> change{fmt::format("materialize cache {}", index()), false, held_->expected};
    settle(change.result);
    change.act = [&kv = library()] { kv.materialize(); };
    return change;
  }

  [[nodiscard]] expected_change<void> crop() const {
    const reference_cache& source = held_->expected;
    const std::size_t length = number() % (source.size(0) + 2);
    const bool refused = length > source.shortest();
    return {fmt::format("crop cache {} to {}", index(), length), refused, refused ? source : sliced(source, 0, length),
            [&kv = library(), length] { kv.crop(static_cast<std::int64_t>(length)); }};
  }

  const causal_lm* model_;
  planted fault_;
  const operation* asked_;
  held_cache* held_;
  number_source* more_;
};

}  // namespace kvtransfer::test
