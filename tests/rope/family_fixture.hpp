#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/rope/rotary_embedding.hpp"

namespace kvtransfer::test {

/// Keys that small transformers models cached, as make_fixtures.py wrote them.
class family_fixtures {
 public:
  static const family_fixtures& get() {
    static const family_fixtures fixtures;
    return fixtures;
  }

  const nlohmann::json& families() const { return index_.at("families"); }

  /// The tensor that `entry` describes; the fixtures keep its memory.
  at::Tensor tensor(const nlohmann::json& entry) const {
    const at::ScalarType dtype = entry.at("dtype") == "float64" ? at::kDouble : at::kFloat;
    const auto sizes = entry.at("shape").get<std::vector<std::int64_t>>();
    char* start = const_cast<char*>(bytes_.data()) + entry.at("offset").get<std::size_t>();
    return at::from_blob(start, sizes, at::TensorOptions().dtype(dtype)).clone();
  }

  std::vector<float> frequencies(const nlohmann::json& entry) const { return rope::listed(tensor(entry)); }

 private:
  family_fixtures() {
    const std::string folder = KVT_SOURCE_DIR "/tests/rope/fixtures/";
    std::ifstream index(folder + "families.json");
    index_ = nlohmann::json::parse(index);
    std::ifstream data(folder + "families.bin", std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(data), {});
  }

  nlohmann::json index_;
  std::vector<char> bytes_;
};

/// `[[…], …]` as int64 `[streams, 1, 1, seq]`.
inline at::Tensor fixture_positions(const nlohmann::json& rows) {
  std::vector<std::int64_t> all;
  for (const nlohmann::json& row : rows) {
    const auto positions = row.get<std::vector<std::int64_t>>();
    all.insert(all.end(), positions.begin(), positions.end());
  }
  const auto streams = static_cast<std::int64_t>(rows.size());
  return at::tensor(all).view({streams, 1, 1, -1});
}

/// The regime at `length` of `embedding` for the tensors that transformers caches: for MLA, the rotary part by itself.
inline rotary_specification cached_specification(const rotary_embedding& embedding, std::int64_t length) {
  rotary_specification specification = embedding.at(length);
  specification.window_offset = 0;
  return specification;
}

}  // namespace kvtransfer::test
