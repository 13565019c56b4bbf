#include "kvtransfer/experiment/model_info.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>

#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"

namespace kvtransfer {

namespace {

/// A layer's RoPE for the record: its type with all its parameters, and which dimensions it rotates.
nlohmann::ordered_json rope_record(const rotary_embedding& rotary) {
  nlohmann::ordered_json record = {{"rope_type", rotary.rope_type()}};
  if (!rotary.rotates()) {
    return record;
  }
  for (const auto& parameter : rotary.parameters().values.items()) {
    record[parameter.key()] = parameter.value();
  }
  const rotary_specification specification = rotary.at(1);
  record["rotary_dim"] = specification.rotary_dim();
  record["pairing"] = specification.pairing == rope::pairing::half_split ? "half_split" : "interleaved";
  record["attention_scaling"] = specification.attention_scaling;
  return record;
}

}  // namespace

model_info make_model_info(const causal_lm& model, const std::filesystem::path& folder) {
  const model_config& config = model.config;
  model_info info;
  info.path = folder.string();
  info.architecture = config.architecture;
  info.layers = config.layers;
  info.hidden_size = config.hidden_size;
  info.q_heads = config.q_heads;
  info.kv_heads = config.kv_heads;
  info.head_dim = config.head_dim;
  info.vocab_size = config.vocab_size;
  info.identity = model.identity;
  info.max_position_embeddings = config.max_position_embeddings;
  info.bos_token_id = config.bos_token_id;
  info.eos_token_ids = config.eos_token_ids;
  nlohmann::ordered_json rope = rope_record(config.rotary.front());
  std::int64_t others = 0;
  for (const rotary_embedding& rotary : config.rotary) {
    others += rope_record(rotary) == rope ? 0 : 1;
  }
  if (others > 0) {
    rope["layers_that_differ"] = others;
  }
  info.rope = rope.dump();
  return info;
}

}  // namespace kvtransfer
