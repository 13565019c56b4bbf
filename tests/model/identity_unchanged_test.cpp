// What changes nothing of a saved cache's world: files put together, named or spelled otherwise, a model of another
// type.

#include <ATen/core/Tensor.h>
#include <ATen/ops/allclose.h>

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "model/saved_world.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// The weights in a few files, tensors in any order, with an index.
void shard(world& files, random_source& random) {
  const loose_file whole = loose_file::of(files.model_files["model.safetensors"]);
  const std::size_t count = 1 + below(random, 4);
  std::vector<loose_file> shards(count);
  nlohmann::json index = {{"weight_map", nlohmann::json::object()}};
  std::vector<std::string> names;
  for (const auto& [name, entry] : whole.header.items()) {
    if (name != "__metadata__") {
      names.push_back(name);
    }
  }
  std::ranges::shuffle(names, random);
  const auto file_name = [](std::size_t i) { return "model-" + std::to_string(i) + ".safetensors"; };
  for (const std::string& name : names) {
    const std::size_t chosen = below(random, count);
    const auto [begin, end] = whole.range_of(name);
    shards[chosen].header[name] = whole.header[name];
    shards[chosen].header[name]["data_offsets"] = {shards[chosen].data.size(),
                                                   shards[chosen].data.size() + end - begin};
    shards[chosen].data += whole.data.substr(begin, end - begin);
    index["weight_map"][name] = file_name(chosen);
  }
  files.model_files.erase("model.safetensors");
  for (std::size_t i = 0; i < count; ++i) {
    if (!shards[i].header.is_null()) {
      files.model_files[file_name(i)] = shards[i].bytes();
    }
  }
  files.model_files["model.safetensors.index.json"] = index.dump();
}

nlohmann::ordered_json shuffled(const nlohmann::ordered_json& object, random_source& random) {
  std::vector<std::pair<std::string, nlohmann::ordered_json>> members;
  for (const auto& [key, value] : object.items()) {
    members.emplace_back(key, value.is_object() ? shuffled(value, random) : value);
  }
  std::ranges::shuffle(members, random);
  nlohmann::ordered_json result = nlohmann::ordered_json::object();
  for (auto& [key, value] : members) {
    result[key] = std::move(value);
  }
  return result;
}

void reorder_keys(world& files, random_source& random) {
  files.config = shuffled(files.config, random);
  edit_weights(files, [&](loose_file& weights) { weights.header = shuffled(weights.header, random); });
  edit_cache(files, [&](loose_file& cache) { cache.header = shuffled(cache.header, random); });
}

void respell(world& files, random_source& random) {
  files.config["rope_theta"] = 10000;  // was 10000.0
  files.config["attention_bias"] = false;
  files.config["transformers_version"] = "5." + std::to_string(below(random, 30));
  files.config["use_cache"] = below(random, 2) == 0;
  files.config["torch_dtype"] = "bfloat16";
}

}  // namespace

TEST_CASE("what changes nothing of a saved cache's world is accepted", "[model][identity]") {
  const std::vector<world> worlds = made_worlds();
  const std::vector<std::pair<const char*, mutation>> kinds{
      {"sharded anew", shard},
      {"touched", [](world& files, random_source&) { files.touched = true; }},
      {"renamed", [](world& files, random_source& random) { files.folder_name = "m" + std::to_string(random()); }},
      {"keys reordered", reorder_keys},
      {"spelled otherwise", respell}};
  random_source random(4);
  for (std::size_t i = 0; i < 100; ++i) {
    const auto& [kind, change] = kinds[i % kinds.size()];
    world changed = worlds[below(random, worlds.size())];
    const bool mapped = below(random, 2) == 0;
    const reading before = read_world(changed, mapped);
    change(changed, random);
    const reading after = read_world(changed, mapped);
    CAPTURE(i, kind, mapped, after.refusal);
    REQUIRE(after.logits.has_value());
    // Tensors may lie otherwise in memory now, which is in the last bits of a matrix product.
    CHECK(at::allclose(*after.logits, *before.logits, 1e-5, 1e-5));
  }
}

TEST_CASE("a model loaded in another type takes its cache out of a file", "[model][identity]") {
  for (const world& files : made_worlds()) {
    const temporary_folder folder;
    files.write(folder);
    const cache_file file = cache_file::open(folder.path() / "cache");
    for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16, at::kDouble, at::kFloat}) {
      const causal_lm model = causal_lm::open(folder.path() / "model", at::kCPU, dtype);
      CHECK(file.view(model.identity).frame().origin().basis() == origin_basis::recorded);
      CHECK_NOTHROW(file.load(model.identity));
    }
  }
}
