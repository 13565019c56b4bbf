#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/specification_json.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::detail {

/// The part of a cache's frame that a file keeps as JSON; positions, slot states and token ids are tensors beside it.
struct frame_record {
  std::string model;                                      ///< fingerprint; empty where it is not known
  bool assumed = false;                                   ///< as `cache_frame::assumed`
  std::vector<std::size_t> layers;                        ///< which frame each layer is read in
  std::vector<std::vector<rotary_specification>> frames;  ///< each frame's regimes

  friend bool operator==(const frame_record&, const frame_record&) = default;
};

/// The text of the metadata entry `kvtransfer.frame`.
/// @throws value_error where a name is not UTF-8 or a number not finite
inline std::string format_frame(const frame_record& record) {
  nlohmann::ordered_json frames = nlohmann::ordered_json::array();
  for (const std::vector<rotary_specification>& regimes : record.frames) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const rotary_specification& regime : regimes) {
      list.push_back(specification_to_json(regime));
    }
    frames.push_back({{"regimes", std::move(list)}});
  }
  const nlohmann::ordered_json document{
      {"version", cache_format::version}, {"layout", cache_format::layout}, {"model", record.model},
      {"assumed", record.assumed},        {"layers", record.layers},        {"frames", std::move(frames)}};
  try {
    return document.dump();
  } catch (const nlohmann::json::exception& bad) {
    fail<value_error>("format_frame", "model and rope_type", "UTF-8", bad.what());
  }
}

inline std::vector<rotary_specification> read_regimes(const json_reader& list) {
  std::vector<rotary_specification> regimes;
  list.for_each_item([&](const json_reader& regime) { regimes.push_back(specification_from_json(regime)); });
  return regimes;
}

/// @throws file_error unless `version` is the one that this library knows
inline void require_version(const json_reader& version, std::int64_t known) {
  if (version.integer(0) != known) {
    version.refuse(fmt::format("{}", known));
  }
}

/// The number of one of `frames` frames.
inline std::size_t read_frame_index(const json_reader& number, std::size_t frames) {
  const auto index = static_cast<std::size_t>(number.integer(0));
  if (index >= frames) {
    number.refuse(fmt::format("the number of one of {} frames", frames));
  }
  return index;
}

/// @throws file_error unless the document is of the version and layout that this library knows
inline void require_known_format(const json_reader& document) {
  require_version(document.member("version"), cache_format::version);
  document.require_members({"version", "layout", "model", "assumed", "layers", "frames"});
  if (document.member("layout").text() != cache_format::layout) {
    document.member("layout").refuse(cache_format::layout);
  }
}

/// Reads that text. The version comes first: a document of another one may look any way it likes.
/// @param file named in errors
/// @throws file_error naming the field that is missing, unknown or malformed
inline frame_record parse_frame(std::string_view text, std::string_view file) {
  constexpr int deepest = 6;  // document, frames, frame, regimes, specification, inv_freq
  const nlohmann::json json = parse_json(text, fmt::format("{}: {}", file, cache_format::frame_entry), deepest);
  const json_reader document(json, file, std::string(cache_format::frame_entry));
  require_known_format(document);
  frame_record record;
  record.model = document.member("model").text();
  record.assumed = document.member("assumed").boolean();
  document.member("frames").for_each_item([&](const json_reader& frame) {
    frame.require_members({"regimes"});
    record.frames.push_back(read_regimes(frame.member("regimes")));
  });
  document.member("layers").for_each_item(
      [&](const json_reader& frame) { record.layers.push_back(read_frame_index(frame, record.frames.size())); });
  return record;
}

}  // namespace kvtransfer::detail
