#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/frame_json.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/tensor/quantized/code_format.hpp"
#include "kvtransfer/tensor/quantized/quantization.hpp"
#include "kvtransfer/tensor/quantized/slot_groups.hpp"
#include "kvtransfer/tensor/safetensors_dtype.hpp"

namespace kvtransfer::detail {

/// How a file's codes of one layer's keys (or values) are to be read.
struct code_record {
  quantization scheme;
  slot_groups groups;         ///< as `quantized_tensor::groups`
  safetensors_dtype dtype{};  ///< of what was quantized
  bool moved = false;         ///< whether there is a `carried_error`

  friend bool operator==(const code_record&, const code_record&) = default;
};

/// The part of a quantized cache that a file keeps as JSON, beside the JSON of its frames.
struct quantized_record {
  struct layer {
    code_record keys;
    code_record values;

    friend bool operator==(const layer&, const layer&) = default;
  };

  std::vector<std::size_t> wanted;  ///< which frame the keys of each layer are wanted in
  std::vector<layer> layers;

  friend bool operator==(const quantized_record&, const quantized_record&) = default;
};

inline constexpr std::int64_t quantized_version = 1;

inline nlohmann::ordered_json to_json(const code_record& codes) {
  nlohmann::ordered_json groups = nlohmann::ordered_json::array();
  for (const group_run& run : codes.groups.runs()) {
    groups.push_back({run.groups, run.slots});
  }
  return {{"format", to_string(codes.scheme.format)}, {"per_channel", codes.scheme.is_per_channel()},
          {"group_size", codes.scheme.group_size},    {"groups", std::move(groups)},
          {"dtype", describe(codes.dtype).name},      {"moved", codes.moved}};
}

inline code_format read_code_format(const json_reader& name) {
  const auto found = std::ranges::find(code_formats, name.text(), &code_format_description::name);
  if (found == code_formats.end()) {
    name.refuse("int4, int8, float8_e4m3fn or float8_e5m2");
  }
  return static_cast<code_format>(found - code_formats.begin());
}

inline safetensors_dtype read_floating_dtype(const json_reader& name) {
  const auto dtype = safetensors_dtype_named(name.text());
  if (!dtype || !cache_format::is_floating(*dtype)) {
    name.refuse("a floating dtype as safetensors names it");
  }
  return *dtype;
}

/// Runs of groups: pairs of how many there are and how many slots each has.
inline slot_groups read_groups(const json_reader& list) {
  std::vector<group_run> runs;
  std::int64_t left = std::numeric_limits<std::int64_t>::max();  // slots
  list.for_each_item([&](const json_reader& pair) {
    std::vector<std::int64_t> numbers;
    pair.for_each_item([&](const json_reader& number) { numbers.push_back(number.integer(0)); });
    if (numbers.size() != 2 || numbers[0] < 1 || numbers[1] < 1 || numbers[0] > left / numbers[1]) {
      pair.refuse("two numbers from 1 on, groups and slots in each, no more than 2^63 - 1 slots in all");
    }
    left -= numbers[0] * numbers[1];
    runs.push_back({numbers[0], numbers[1]});
  });
  return slot_groups::of_runs(runs);
}

inline code_record read_codes(const json_reader& codes) {
  codes.require_members({"format", "per_channel", "group_size", "groups", "dtype", "moved"});
  code_record record;
  record.scheme.format = read_code_format(codes.member("format"));
  record.scheme.axis =
      codes.member("per_channel").boolean() ? quantization_axis::per_channel : quantization_axis::per_token;
  record.scheme.group_size = codes.member("group_size").integer(0);
  record.groups = read_groups(codes.member("groups"));
  record.dtype = read_floating_dtype(codes.member("dtype"));
  record.moved = codes.member("moved").boolean();
  return record;
}

/// The text of the metadata entry `kvtransfer.quantized`.
inline std::string format_quantized(const quantized_record& record) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const quantized_record::layer& layer : record.layers) {
    layers.push_back({{"key", to_json(layer.keys)}, {"value", to_json(layer.values)}});
  }
  return nlohmann::ordered_json{
      {"version", quantized_version}, {"wanted", record.wanted}, {"layers", std::move(layers)}}
      .dump();
}

/// Reads that text.
/// @param frames how many there are to name
/// @param file named in errors
/// @throws file_error naming the field that is missing, unknown or malformed
inline quantized_record parse_quantized(std::string_view text, std::size_t frames, std::string_view file) {
  constexpr int deepest = 6;  // document, layers, layer, key, groups, pair
  const nlohmann::json json = parse_json(text, fmt::format("{}: {}", file, cache_format::quantized_entry), deepest);
  const json_reader document(json, file, std::string(cache_format::quantized_entry));
  require_version(document.member("version"), quantized_version);
  document.require_members({"version", "wanted", "layers"});
  quantized_record record;
  document.member("wanted").for_each_item(
      [&](const json_reader& frame) { record.wanted.push_back(read_frame_index(frame, frames)); });
  document.member("layers").for_each_item([&](const json_reader& layer) {
    layer.require_members({"key", "value"});
    record.layers.push_back({read_codes(layer.member("key")), read_codes(layer.member("value"))});
  });
  return record;
}

}  // namespace kvtransfer::detail
