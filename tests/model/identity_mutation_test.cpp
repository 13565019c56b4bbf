// Attacks on the guard between a saved cache and the model that reads it: of a world of files (configuration, weights,
// tokenizer, cache), one thing is changed at random. It has to be refused, or to change no bit of the logits.

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/select_heads.hpp"
#include "kvtransfer/cache/select_layers.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "model/saved_world.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

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
