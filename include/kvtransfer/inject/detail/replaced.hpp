#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/inject/detail/aligned.hpp"
#include "kvtransfer/inject/detail/slot_marks.hpp"
#include "kvtransfer/inject/plan.hpp"

namespace kvtransfer::detail {

/// Takes note of an edit in the marked slots; layers that are marked alike stay in one.
inline void note_edit(cache_frame& frame, const cache_edit& edit, const slot_marks& marks) {
  std::vector<cache_edit> edits;
  for (std::size_t i = 0; i < marks.size(); ++i) {
    const layer_marks& layer = marks[i];
    cache_edit here = edit;
    for (std::int64_t head = 0; head < layer.kv_heads; ++head) {
      bool marked = false;
      for (std::int64_t b = 0; b < layer.batch; ++b) {
        for (std::int64_t slot = 0; slot < layer.seq; ++slot) {
          if (layer.at(b, head, slot)) {
            marked = true;
            here.slots.push_back({slot, 1});
          }
        }
      }
      if (marked) {
        here.heads.push_back(head);
      }
    }
    if (here.slots.empty()) {
      continue;
    }
    here.slots = joined_ranges(std::move(here.slots));
    if (std::cmp_equal(here.heads.size(), layer.kv_heads)) {
      here.heads.clear();  // all of them
    }
    add_in_layer(edits, std::move(here), static_cast<std::int64_t>(i));
  }
  for (cache_edit& each : edits) {
    frame.add_edit(std::move(each));
  }
}

/// What a cache says of itself once numbers of another, `beside`, have come in.
inline void note_donor(cache_frame& frame, const cache_frame& beside, cache_half half) {
  frame.set_tokens(frame.tokens().combine(beside.tokens(), [](const auto& mine, const auto& theirs) {
    return theirs.empty() || mine == theirs ? mine : layer_tokens::token_rows{};
  }));
  for (cache_edit edit : beside.edits()) {
    if (half == cache_half::both || edit.half == cache_half::both || edit.half == half) {
      edit.half = half == cache_half::both ? edit.half : half;
      frame.add_edit(std::move(edit));
    }
  }
  frame.set_origin(frame.origin().joined_with(beside.origin()));
  if (beside.assumed()) {
    frame.set_assumed();
  }
}

/// `source` with the marked keys, values or both taken from `beside`; nothing is copied in layers that are taken whole.
/// @param beside the donor's numbers, aligned with `source`
inline cache_view<> replaced(const cache_view<>& source, const cache_view<>& beside, const slot_marks& marks,
                             cache_half half, const std::string& origin) {
  const slot_marks whole = all_marked(source);
  const auto mixed = [&](const at::Tensor& mine, const at::Tensor& theirs, std::size_t layer) {
    return marks[layer] == whole[layer] ? theirs : theirs.where(marks[layer].tensor(mine.device()), mine);
  };
  moving_frames frames =
      half == cache_half::values ? view_access::frames(source) : moving_frames::settled(source.frame());
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    const auto layer = static_cast<std::size_t>(i);
    const bool any = marks[layer].any();
    if (half == cache_half::values) {
      keys.push_back(view_access::canonical_keys(source.layer(i)));
    } else {
      keys.push_back(any ? mixed(source.layer(i).keys(), beside.layer(i).keys(), layer) : source.layer(i).keys());
    }
    values.push_back(any && half != cache_half::keys ? mixed(source.layer(i).values(), beside.layer(i).values(), layer)
                                                     : source.layer(i).values());
  }
  frames.edit([&](cache_frame& frame) {
    note_donor(frame, beside.frame(), half);
    note_edit(frame, {half == cache_half::both ? edit_kind::mixture : edit_kind::half, half, {}, {}, {}, origin},
              marks);
  });
  return view_access::view(keys, values, std::move(frames), source.layout());
}

}  // namespace kvtransfer::detail
