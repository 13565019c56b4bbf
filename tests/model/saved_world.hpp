#pragma once

#include <ATen/core/Tensor.h>
#include <sys/time.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/session.hpp"
#include "support/small_model.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

// A saved cache and the model that reads it, as files that a test may change.

namespace kvtransfer::test {

namespace fs = std::filesystem;

using random_source = std::mt19937_64;

inline std::size_t below(random_source& random, std::size_t count) {
  return static_cast<std::size_t>(random() % count);
}

/// A safetensors file taken apart.
struct loose_file {
  nlohmann::ordered_json header;
  std::string data;

  static loose_file of(const std::string& bytes) {
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    return {nlohmann::ordered_json::parse(bytes.substr(sizeof length, length)), bytes.substr(sizeof length + length)};
  }

  std::string bytes() const {
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    const std::uint64_t length = text.size();
    std::string all(sizeof length, '\0');
    std::memcpy(all.data(), &length, sizeof length);
    return all + text + data;
  }

  std::pair<std::size_t, std::size_t> range_of(const std::string& tensor) const {
    return {header[tensor]["data_offsets"][0].get<std::size_t>(), header[tensor]["data_offsets"][1].get<std::size_t>()};
  }

  void flip_bit(const std::string& tensor, random_source& random) {
    const auto [begin, end] = range_of(tensor);
    char& byte = data[begin + below(random, end - begin)];
    byte = static_cast<char>(byte ^ (1 << below(random, 8)));
  }

  void swap_names(const std::string& a, const std::string& b) { std::swap(header[a], header[b]); }

  std::string any_tensor(random_source& random) const {
    std::vector<std::string> names;
    for (const auto& [name, entry] : header.items()) {
      if (name != "__metadata__") {
        names.push_back(name);
      }
    }
    return names[below(random, names.size())];
  }
};

/// All files of a model and of a cache that it wrote, and how they are read.
struct world {
  nlohmann::ordered_json config;
  std::map<std::string, std::string> model_files;  ///< beside config.json
  std::string cache_bytes;
  at::ScalarType dtype = at::kFloat;
  std::string folder_name = "model";
  std::function<void(const fs::path& cache)> after_verify = [](const fs::path&) {};
  std::function<cache_view<>(const cache_view<>&)> change_view = [](const cache_view<>& view) { return view; };
  bool touched = false;

  void write(const temporary_folder& folder) const {
    fs::create_directory(folder.path() / folder_name);
    folder.put(folder_name + "/config.json", config.dump(2));
    for (const auto& [name, bytes] : model_files) {
      folder.put(folder_name + "/" + name, bytes);
    }
    const fs::path cache = folder.put("cache", cache_bytes);
    // Saved a while ago: file systems tell times apart only so finely.
    const ::timeval past[2] = {{1'700'000'000, 0}, {1'700'000'000, 0}};
    for (const fs::path& file : {cache, folder.path() / folder_name / "config.json"}) {
      REQUIRE((touched || ::utimes(file.c_str(), past) == 0));
    }
  }
};

/// What came of reading a world: logits, or a refusal.
struct reading {
  std::optional<at::Tensor> logits;
  std::string refusal;
};

inline const std::vector<std::int64_t> question{3, 1, 4, 1, 5};

inline reading read_world(const world& files, bool mapped) {
  const temporary_folder folder;
  files.write(folder);
  const fs::path path = folder.path() / "cache";
  try {
    const causal_lm model = causal_lm::open(folder.path() / files.folder_name, at::kCPU, files.dtype);
    const cache_file file = cache_file::open(path);
    file.verify();
    files.after_verify(path);
    const auto run = [&](const cache_view<>& view) {
      return session(model, prepend(files.change_view(view), {question})).logits().clone();
    };
    return {mapped ? run(file.view(model.identity)) : run(file.load(model.identity).view()), ""};
  } catch (const error& refused) {
    return {std::nullopt, refused.what()};
  }
}

inline bool same_bits_in(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

inline nlohmann::ordered_json config_with(const nlohmann::json& scaling) {
  nlohmann::ordered_json config = small_config();
  config["rope_scaling"] = scaling;
  config["bos_token_id"] = 1;
  config["torch_dtype"] = "float32";
  return config;
}

inline void edit_weights(world& files, const std::function<void(loose_file&)>& edit) {
  loose_file weights = loose_file::of(files.model_files["model.safetensors"]);
  edit(weights);
  files.model_files["model.safetensors"] = weights.bytes();
}

inline void edit_cache(world& files, const std::function<void(loose_file&)>& edit) {
  loose_file cache = loose_file::of(files.cache_bytes);
  edit(cache);
  files.cache_bytes = cache.bytes();
}

/// A world whose model rotates by `scaling`.
inline world made_world(const nlohmann::json& scaling) {
  world files;
  files.config = config_with(scaling);
  const causal_lm model = small_model(7, files.config);
  const temporary_folder folder;
  save_model(folder.path(), model.config, model.weights, at::kFloat);
  files.model_files["model.safetensors"] = read_text(folder.path() / "model.safetensors");
  files.model_files["tokenizer.json"] = R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})";
  files.write(folder);
  save_cache(folder.path() / "cache",
             prefill(causal_lm::open(folder.path() / "model", at::kCPU, at::kFloat), {some_tokens(24)}));
  files.cache_bytes = read_text(folder.path() / "cache");
  // Put together as the changed ones are: where a tensor lies in memory is in the last bits of a matrix product.
  edit_weights(files, [](loose_file&) {});
  edit_cache(files, [](loose_file&) {});
  return files;
}

inline std::vector<world> made_worlds() {
  const std::vector<double> plain(8, 1.0);
  std::vector<double> longer = plain;
  longer.back() = 4.0;
  return {made_world({{"rope_type", "llama3"},
                      {"factor", 8.0},
                      {"low_freq_factor", 1.0},
                      {"high_freq_factor", 4.0},
                      {"original_max_position_embeddings", 64}}),
          made_world({{"rope_type", "longrope"},
                      {"short_factor", plain},
                      {"long_factor", longer},
                      {"original_max_position_embeddings", 16}})};
}

/// Changes something of a world, which thing and how by chance.
using mutation = std::function<void(world&, random_source&)>;

}  // namespace kvtransfer::test
