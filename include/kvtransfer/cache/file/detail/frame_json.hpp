#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/specification_json.hpp"
#include "kvtransfer/cache/model_identity.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::detail {

/// The part of a cache's frame that a file keeps as JSON; positions, slot states and token ids are tensors beside it.
struct frame_record {
  cache_origin origin;                                    ///< as `cache_frame::origin`
  bool assumed = false;                                   ///< as `cache_frame::assumed`
  std::vector<std::size_t> layers;                        ///< which frame each layer is read in
  std::vector<std::vector<rotary_specification>> frames;  ///< each frame's specifications
  std::optional<bool> checksums = {};                     ///< whether the file has any; version 1 does not say
  std::vector<cache_edit> edits = {};                     ///< as `cache_frame::edits`; version 1 has none
  std::vector<std::int64_t> roundings = {};               ///< of each frame; empty in version 1, which counts none

  friend bool operator==(const frame_record&, const frame_record&) = default;
};

inline nlohmann::ordered_json origin_to_json(const cache_origin& origin) {
  const model_identity& model = origin.model();
  return {{"digest", model.digest.text()},
          {"quantization", model.quantization},
          {"adapter", model.adapter},
          {"tokenizer", model.tokenizer},
          {"rotary", model.rotary},
          {"configuration", model.configuration},
          {"basis", to_string(origin.basis())}};
}

inline model_identity::values read_values(const json_reader& object) {
  model_identity::values values;
  object.for_each_member([&](const std::string& key, const json_reader& value) { values.emplace(key, value.text()); });
  return values;
}

inline cache_origin origin_from_json(const json_reader& fields) {
  fields.require_members({"digest", "quantization", "adapter", "tokenizer", "rotary", "configuration", "basis"});
  model_identity model;
  model.digest = fields.member("digest").text();
  model.quantization = fields.member("quantization").text();
  model.adapter = fields.member("adapter").text();
  model.tokenizer = fields.member("tokenizer").text();
  model.rotary = read_values(fields.member("rotary"));
  model.configuration = read_values(fields.member("configuration"));
  const auto basis = origin_basis_named(fields.member("basis").text());
  if (!basis) {
    fields.member("basis").refuse("recorded, same_weights or unknown_origin");
  }
  if (!model.is_known()) {
    return {};
  }
  return {std::make_shared<const model_identity>(std::move(model)), *basis};
}

inline nlohmann::ordered_json edit_to_json(const cache_edit& edit) {
  nlohmann::ordered_json slots = nlohmann::ordered_json::array();
  for (const slot_range& range : edit.slots) {
    slots.push_back({range.begin, range.count});
  }
  return {{"kind", name_of(edit.kind)}, {"half", name_of(edit.half)}, {"layers", edit.layers},
          {"heads", edit.heads},        {"slots", std::move(slots)},  {"origin", edit.origin}};
}

inline std::vector<std::int64_t> read_numbers(const json_reader& list) {
  std::vector<std::int64_t> numbers;
  list.for_each_item([&](const json_reader& number) { numbers.push_back(number.integer(0)); });
  return numbers;
}

inline cache_edit edit_from_json(const json_reader& fields) {
  fields.require_members({"kind", "half", "layers", "heads", "slots", "origin"});
  cache_edit edit;
  const auto kind = edit_kind_named(fields.member("kind").text());
  const auto half = cache_half_named(fields.member("half").text());
  if (!kind) {
    fields.member("kind").refuse("the name of a kind of edit");
  }
  if (!half) {
    fields.member("half").refuse("both, keys or values");
  }
  edit.kind = *kind;
  edit.half = *half;
  edit.layers = read_numbers(fields.member("layers"));
  edit.heads = read_numbers(fields.member("heads"));
  fields.member("slots").for_each_item([&](const json_reader& pair) {
    const std::vector<std::int64_t> numbers = read_numbers(pair);
    if (numbers.size() != 2 || numbers[0] > std::numeric_limits<std::int64_t>::max() - numbers[1]) {
      pair.refuse("two numbers, a slot and how many there are from it on");
    }
    edit.slots.push_back({numbers[0], numbers[1]});
  });
  edit.origin = fields.member("origin").text();
  return edit;
}

/// The text of the metadata entry `kvtransfer.frame`. @param record with `checksums`, and `roundings` of every frame
/// @throws value_error where a name is not UTF-8 or a number not finite
inline std::string format_frame(const frame_record& record) {
  nlohmann::ordered_json edits = nlohmann::ordered_json::array();
  for (const cache_edit& edit : record.edits) {
    edits.push_back(edit_to_json(edit));
  }
  nlohmann::ordered_json frames = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < record.frames.size(); ++i) {
    const std::vector<rotary_specification>& specifications = record.frames[i];
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const rotary_specification& specification : specifications) {
      list.push_back(specification_to_json(specification));
    }
    frames.push_back({{"specifications", std::move(list)}, {"roundings", record.roundings.at(i)}});
  }
  const nlohmann::ordered_json document{{"version", cache_format::version},
                                        {"layout", cache_format::layout},
                                        {"checksums", record.checksums.value_or(false)},
                                        {"origin", origin_to_json(record.origin)},
                                        {"assumed", record.assumed},
                                        {"edits", std::move(edits)},
                                        {"layers", record.layers},
                                        {"frames", std::move(frames)}};
  try {
    return document.dump();
  } catch (const nlohmann::json::exception& bad) {
    fail<value_error>("format_frame", "origin and rope_type", "UTF-8", bad.what());
  }
}

inline std::vector<rotary_specification> read_specifications(const json_reader& list, bool have_length) {
  std::vector<rotary_specification> specifications;
  list.for_each_item(
      [&](const json_reader& each) { specifications.push_back(specification_from_json(each, have_length)); });
  return specifications;
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

/// Reads that text. The version comes first: a document of another one may look any way it likes.
/// @param file named in errors
/// @throws file_error naming the field that is missing, unknown or malformed
inline frame_record parse_frame(std::string_view text, std::string_view file) {
  constexpr int deepest = 6;  // document, frames, frame, specifications, specification, inv_freq
  const nlohmann::json json = parse_json(text, fmt::format("{}: {}", file, cache_format::frame_entry), deepest);
  const json_reader document(json, file, std::string(cache_format::frame_entry));
  const std::int64_t version = document.member("version").integer(0);
  if (version < cache_format::oldest_version || version > cache_format::version) {
    document.member("version").refuse(fmt::format("{} or {}", cache_format::oldest_version, cache_format::version));
  }
  frame_record record;
  const bool is_current = version == cache_format::version;
  if (is_current) {
    document.require_members({"version", "layout", "checksums", "origin", "assumed", "edits", "layers", "frames"});
    record.checksums = document.member("checksums").boolean();
    record.origin = origin_from_json(document.member("origin"));
    document.member("edits").for_each_item(
        [&](const json_reader& edit) { record.edits.push_back(edit_from_json(edit)); });
  } else {
    document.require_members({"version", "layout", "model", "assumed", "layers", "frames"});
    (void)document.member("model").text();
  }
  if (document.member("layout").text() != cache_format::layout) {
    document.member("layout").refuse(cache_format::layout);
  }
  record.assumed = document.member("assumed").boolean();
  const char* list = is_current ? "specifications" : "regimes";
  document.member("frames").for_each_item([&](const json_reader& frame) {
    if (is_current) {
      frame.require_members({list, "roundings"});
      record.roundings.push_back(frame.member("roundings").integer(0));
    } else {
      frame.require_members({list});
    }
    record.frames.push_back(read_specifications(frame.member(list), is_current));
  });
  document.member("layers").for_each_item(
      [&](const json_reader& frame) { record.layers.push_back(read_frame_index(frame, record.frames.size())); });
  return record;
}

}  // namespace kvtransfer::detail
