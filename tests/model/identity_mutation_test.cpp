// Attacks on the guard between a saved cache and the model that reads it: of a world of files (configuration, weights,
// tokenizer, cache), one thing is changed at random. It has to be refused, or to change no bit of the logits.

#include <ATen/core/Tensor.h>
#include <ATen/ops/allclose.h>
#include <sys/time.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/cache/select_heads.hpp"
#include "kvtransfer/cache/select_layers.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/session.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "kvtransfer/tensor/safetensors_writer.hpp"
#include "support/small_model.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace fs = std::filesystem;

namespace {

using random_source = std::mt19937_64;

std::size_t below(random_source& random, std::size_t count) { return static_cast<std::size_t>(random() % count); }

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

const std::vector<std::int64_t> question{3, 1, 4, 1, 5};

reading read_world(const world& files, bool mapped) {
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

bool same_bits_in(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

nlohmann::ordered_json config_with(const nlohmann::json& scaling) {
  nlohmann::ordered_json config = small_config();
  config["rope_scaling"] = scaling;
  config["bos_token_id"] = 1;
  config["torch_dtype"] = "float32";
  return config;
}

void edit_weights(world& files, const std::function<void(loose_file&)>& edit) {
  loose_file weights = loose_file::of(files.model_files["model.safetensors"]);
  edit(weights);
  files.model_files["model.safetensors"] = weights.bytes();
}

void edit_cache(world& files, const std::function<void(loose_file&)>& edit) {
  loose_file cache = loose_file::of(files.cache_bytes);
  edit(cache);
  files.cache_bytes = cache.bytes();
}

/// A world whose model rotates by `scaling`.
world made_world(const nlohmann::json& scaling) {
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

std::vector<world> made_worlds() {
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

/// Applies `change` to every element of a random tensor of the weights.
void change_elements(world& files, random_source& random, const std::function<float(float, std::size_t)>& change) {
  edit_weights(files, [&](loose_file& weights) {
    const auto [begin, end] = weights.range_of(weights.any_tensor(random));
    for (std::size_t at = begin, i = 0; at < end; at += sizeof(float), ++i) {
      float element = 0;
      std::memcpy(&element, weights.data.data() + at, sizeof element);
      element = change(element, i);
      std::memcpy(weights.data.data() + at, &element, sizeof element);
    }
  });
}

std::string layer_name(std::size_t layer, const char* rest) {
  return "model.layers." + std::to_string(layer) + "." + rest;
}

/// Swaps the two halves of a tensor's bytes: those of two heads, where the first axis is heads.
void swap_halves(loose_file& file, const std::string& tensor) {
  const auto [begin, end] = file.range_of(tensor);
  const auto first = file.data.begin() + static_cast<std::ptrdiff_t>(begin);
  const auto half = static_cast<std::ptrdiff_t>(end - begin) / 2;
  std::swap_ranges(first, first + half, first + half);
}

using mutation = std::function<void(world&, random_source&)>;

void mutate_weights(world& files, random_source& random) {
  switch (below(random, 4)) {
    case 0:
      return edit_weights(files, [&](loose_file& weights) { weights.flip_bit(weights.any_tensor(random), random); });
    case 1:
      return change_elements(files, random, [](float element, std::size_t) { return element * 1.001F; });
    case 2: {
      const std::size_t edited = below(random, 64);
      return change_elements(files, random, [=](float element, std::size_t i) {
        return i % 100 == edited ? element + 1e-4F : element;  // sparse
      });
    }
    default:
      return change_elements(files, random, [](float element, std::size_t i) {
        return element + 1e-3F * static_cast<float>(i % 64) * static_cast<float>(i / 64 % 5);  // of low rank
      });
  }
}

void mutate_configuration(world& files, random_source& random) {
  const std::vector<std::pair<const char*, nlohmann::json>> changes{
      {"rms_norm_eps", 1e-6 * (1.5 + static_cast<double>(below(random, 100)))},
      {"num_attention_heads", 8},
      {"num_key_value_heads", 4},
      {"head_dim", 32},
      {"num_hidden_layers", 2},
      {"vocab_size", 96},
      {"hidden_act", "gelu"},
      {"attention_bias", true},
      {"tie_word_embeddings", true},
      {"max_position_embeddings", 128 + static_cast<int>(below(random, 500))},
      {"bos_token_id", static_cast<int>(below(random, 90))},
      {"logit_softcapping", 30.0},
      {"architectures", {"MistralForCausalLM"}},
      {"intermediate_size", 95}};
  const auto& [key, value] = changes[below(random, changes.size())];
  files.config[key] = value;
}

void mutate_rotary(world& files, random_source& random) {
  nlohmann::ordered_json& scaling = files.config["rope_scaling"];
  const double stretch = 1.01 + static_cast<double>(below(random, 100)) / 50;
  if (below(random, 4) == 0) {
    files.config["rope_theta"] = 10000.0 * stretch;
  } else if (scaling["rope_type"] == "llama3") {
    const std::vector<const char*> keys{"factor", "high_freq_factor", "original_max_position_embeddings"};
    const char* key = keys[below(random, keys.size())];
    scaling[key] = std::string(key).starts_with("orig") ? nlohmann::ordered_json(65 + below(random, 100))
                                                        : nlohmann::ordered_json(scaling[key].get<double>() * stretch);
  } else if (below(random, 3) == 0) {
    scaling["original_max_position_embeddings"] = 17 + below(random, 50);
  } else {
    auto& list = scaling[below(random, 2) == 0 ? "short_factor" : "long_factor"];
    list[below(random, list.size())] = stretch;
  }
}

void mutate_tokenizer(world& files, random_source& random) {
  if (below(random, 3) == 0) {
    files.model_files["tokenizer_config.json"] = R"({"add_bos_token": true})";
  } else {
    std::string& text = files.model_files["tokenizer.json"];
    text[below(random, text.size())] ^= static_cast<char>(1 << below(random, 7));
  }
}

void mutate_dtype(world& files, random_source& random) {
  const std::vector<at::ScalarType> others{at::kHalf, at::kBFloat16, at::kDouble};
  if (below(random, 2) == 0) {
    files.dtype = others[below(random, others.size())];
  } else {
    edit_cache(files, [&](loose_file& cache) {
      cache
          .header["layers." + std::to_string(below(random, 3)) + (below(random, 2) == 0 ? ".key" : ".value")]["dtype"] =
          below(random, 2) == 0 ? "I32" : "U32";
    });
  }
}

void mutate_layer_order(world& files, random_source& random) {
  const std::size_t first = below(random, 3);
  const std::size_t second = (first + 1 + below(random, 2)) % 3;
  const std::string a = std::to_string(first);
  const std::string b = std::to_string(second);
  switch (below(random, 3)) {
    case 0:
      return edit_cache(files, [&](loose_file& cache) {
        cache.swap_names("layers." + a + ".key", "layers." + b + ".key");
        cache.swap_names("layers." + a + ".value", "layers." + b + ".value");
      });
    case 1:
      return edit_weights(files, [&](loose_file& weights) {
        const std::vector<const char*> parts{"self_attn.k_proj.weight", "mlp.up_proj.weight", "input_layernorm.weight"};
        const char* part = parts[below(random, parts.size())];
        weights.swap_names(layer_name(first, part), layer_name(second, part));
      });
    default: {
      std::vector<std::int64_t> order{0, 1, 2};
      std::swap(order[first], order[second]);
      files.change_view = [order](const cache_view<>& view) { return select_layers(view, order); };
    }
  }
}

void mutate_head_order(world& files, random_source& random) {
  const std::size_t layer = below(random, 3);
  switch (below(random, 3)) {
    case 0:
      return edit_cache(files, [&](loose_file& cache) {
        swap_halves(cache, "layers." + std::to_string(layer) + (below(random, 2) == 0 ? ".key" : ".value"));
      });
    case 1:
      return edit_weights(files, [&](loose_file& weights) {
        swap_halves(weights,
                    layer_name(layer, below(random, 2) == 0 ? "self_attn.k_proj.weight" : "self_attn.q_proj.weight"));
      });
    default:
      files.change_view = [kept = std::make_shared<std::optional<cache>>()](const cache_view<>& view) {
        kept->emplace(select_heads(view, {1, 0}));
        return (*kept)->view();
      };
  }
}

void mutate_positions(world& files, random_source& random) {
  edit_cache(files, [&](loose_file& cache) {
    const std::vector<const char*> tensors{"frames.0.positions", "frames.0.states", "token_ids"};
    const std::string tensor = tensors[below(random, tensors.size())];
    const auto [begin, end] = cache.range_of(tensor);
    const std::size_t width = tensor == "frames.0.states" ? 4 : 8;
    char& low = cache.data[begin + width * below(random, (end - begin) / width)];
    low = static_cast<char>(low + 1 + static_cast<char>(below(random, 20)));
  });
}

/// Writes into the file, as a copy or a download would that goes on while it is mapped.
void mutate_after_verify(world& files, random_source& random) {
  const std::string tensor = "layers." + std::to_string(below(random, 3)) + (below(random, 2) == 0 ? ".key" : ".value");
  loose_file changed = loose_file::of(files.cache_bytes);
  changed.flip_bit(tensor, random);
  const std::size_t data_begin = files.cache_bytes.size() - changed.data.size();
  files.after_verify = [data = changed.data, data_begin](const fs::path& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(data_begin));
    file.write(data.data(), static_cast<std::streamsize>(data.size()));
  };
}

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

TEST_CASE("any single change to what a saved cache is read with is refused, or changes no bit of the logits",
          "[model][identity]") {
  const std::vector<world> worlds = made_worlds();
  const std::vector<std::pair<const char*, mutation>> kinds{{"weights", mutate_weights},
                                                            {"configuration", mutate_configuration},
                                                            {"rotary", mutate_rotary},
                                                            {"tokenizer", mutate_tokenizer},
                                                            {"dtype", mutate_dtype},
                                                            {"layer order", mutate_layer_order},
                                                            {"head order", mutate_head_order},
                                                            {"positions", mutate_positions},
                                                            {"bytes after verify()", mutate_after_verify}};
  random_source random(20'261'128);
  std::map<std::string, int> refused;
  for (std::size_t i = 0; i < 200; ++i) {
    const auto& [kind, mutate] = kinds[i % kinds.size()];
    world changed = worlds[below(random, worlds.size())];
    const bool mapped = below(random, 2) == 0;
    const reading unchanged = read_world(changed, mapped);
    CAPTURE(i, kind, mapped, unchanged.refusal);
    REQUIRE(unchanged.logits.has_value());
    mutate(changed, random);
    const reading after = read_world(changed, mapped);
    if (after.logits) {
      CAPTURE(changed.config.dump());
      CHECK(same_bits_in(*after.logits, *unchanged.logits));
    } else {
      ++refused[kind];
    }
  }
  // Of every kind most are refused: what is harmless of them is a limit or a token id that the run does not meet.
  for (const auto& [kind, mutate] : kinds) {
    CAPTURE(kind, refused[kind]);
    CHECK(refused[kind] >= 12);
  }
}

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
