#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::detail {

/// fp32 values as numbers that read back to the same bits: each is written as the double it equals.
inline std::vector<float> read_frequencies(const json_reader& list) {
  std::vector<float> frequencies;
  list.for_each_item([&](const json_reader& item) {
    const double number = item.number();
    const bool in_range = std::abs(number) <= std::numeric_limits<float>::max();
    if (!in_range || static_cast<double>(static_cast<float>(number)) != number) {
      item.refuse("a number that fp32 holds exactly");
    }
    frequencies.push_back(static_cast<float>(number));
  });
  return frequencies;
}

inline rope::pairing read_pairing(const json_reader& name) {
  const bool interleaved = name.text() == rope::to_string(rope::pairing::interleaved);
  if (!interleaved && name.text() != rope::to_string(rope::pairing::half_split)) {
    name.refuse("half_split or interleaved");
  }
  return interleaved ? rope::pairing::interleaved : rope::pairing::half_split;
}

/// A rotary specification as a cache file tells it, every value exact.
/// @throws value_error on a frequency or scaling that is not finite, shape_error on a stream list of another length
inline nlohmann::ordered_json specification_to_json(const rotary_specification& specification) {
  rope::validate(specification, "specification_to_json");
  return {{"rope_type", specification.rope_type},
          {"inv_freq", specification.inv_freq},
          {"attention_scaling", specification.attention_scaling},
          {"pairing", rope::to_string(specification.pairing)},
          {"window_offset", specification.window_offset},
          {"stream_of", specification.stream_of},
          {"normed_after_rotation", specification.normed_after_rotation},
          {"length", specification.length}};
}

/// @param has_length whether it says at which length it is in force, as all have since version 2
/// @throws file_error naming the field that is missing, unknown or malformed
inline rotary_specification specification_from_json(const json_reader& fields, bool has_length = true) {
  rotary_specification specification;
  if (has_length) {
    fields.require_members({"rope_type", "inv_freq", "attention_scaling", "pairing", "window_offset", "stream_of",
                            "normed_after_rotation", "length"});
    specification.length = fields.member("length").integer(0);
  } else {
    fields.require_members({"rope_type", "inv_freq", "attention_scaling", "pairing", "window_offset", "stream_of",
                            "normed_after_rotation"});
  }
  specification.rope_type = fields.member("rope_type").text();
  specification.inv_freq = read_frequencies(fields.member("inv_freq"));
  specification.attention_scaling = fields.member("attention_scaling").number();
  if (!(std::isfinite(specification.attention_scaling) && specification.attention_scaling > 0)) {
    fields.member("attention_scaling").refuse("a finite, positive number");
  }
  specification.pairing = read_pairing(fields.member("pairing"));
  specification.window_offset = fields.member("window_offset").integer(0);
  fields.member("stream_of").for_each_item([&](const json_reader& stream) {
    specification.stream_of.push_back(static_cast<std::uint8_t>(stream.integer(0, 255)));
  });
  if (!specification.stream_of.empty() && specification.stream_of.size() != specification.inv_freq.size()) {
    fields.member("stream_of")
        .refuse(fmt::format("no entry, or one for each of {} frequencies", specification.inv_freq.size()));
  }
  specification.normed_after_rotation = fields.member("normed_after_rotation").boolean();
  return specification;
}

/// Refuses a specification that keys of `head_dim` elements with `streams` streams of positions cannot have been
/// written with.
/// @param where the operation or file that complains
/// @throws Error
template <class Error>
void require_fitting(const rotary_specification& specification, std::int64_t streams, std::int64_t head_dim,
                     std::string_view where, std::string_view what) {
  const std::int64_t room = head_dim - specification.rotary_dim();
  require<Error>(room >= 0 && specification.window_offset <= room, where, what,
                 formatted("a rotary window within head_dim={}", head_dim), [&] { return describe(specification); });
  if (streams > 1 && specification.streams() > streams) {
    fail<Error>(where, what, fmt::format("at most {} position streams, as many as there are", streams),
                fmt::format("{}", specification.streams()));
  }
}

}  // namespace kvtransfer::detail
