#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace kvtransfer::train_lab {

/// The shape of the model to be trained; the rest of its configuration follows from it.
struct model_shape {
  std::int64_t layers = 6;
  std::int64_t hidden_size = 256;
  std::int64_t intermediate_size = 704;
  std::int64_t q_heads = 4;
  std::int64_t kv_heads = 2;
  std::int64_t head_dim = 64;
  std::int64_t vocab_size = 2048;
  double rope_theta = 10000.0;
};

/// How the model is trained.
struct recipe {
  std::int64_t steps = 3500;
  std::int64_t warm_up = 200;           ///< steps over which the learning rate rises to its peak
  std::int64_t batch_tokens = 65536;    ///< tokens a step
  std::int64_t sequence_length = 1024;  ///< tokens a row; documents are packed into rows
  std::int64_t rows_at_once = 64;       ///< rows in one forward pass; more are accumulated
  double peak_learning_rate = 2e-3;
  double weight_decay = 0.01;
  double clip = 1.0;  ///< largest norm of all gradients together
  std::uint64_t seed = 0;

  std::int64_t rows() const { return batch_tokens / sequence_length; }
};

/// The settings that two runs must share for one to go on where the other stopped.
inline std::string identity_of(const recipe& plan) {
  return fmt::format("steps {}, warm-up {}, batch {} x {}, peak {}, decay {}, clip {}, seed {}", plan.steps,
                     plan.warm_up, plan.rows(), plan.sequence_length, plan.peak_learning_rate, plan.weight_decay,
                     plan.clip, plan.seed);
}

/// What else one run of the program needs.
struct run_settings {
  std::filesystem::path output;
  std::filesystem::path tokenizer;  ///< folder of a tokenizer to use; empty: train one
  std::int64_t tokenizer_documents = 40000;
  bool resume = false;
  std::int64_t report_every = 50;    ///< steps between lines of progress
  std::int64_t measure_every = 500;  ///< steps between checkpoints, each with a measure of recall
  std::int64_t cases = 1100;         ///< held-out cases of the last measure
  std::int64_t data_threads = 0;     ///< 0: as many as there are processors, less two
};

/// Ids of the boundary tokens, as in Llama.
inline constexpr std::int64_t unknown_id = 0;
inline constexpr std::int64_t bos_id = 1;
inline constexpr std::int64_t eos_id = 2;

/// The configuration as transformers writes it for a Llama model.
/// @param longest tokens that the model was trained on at once
inline nlohmann::json hugging_face_config(const model_shape& shape, std::int64_t longest) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_act", "silu"},
          {"hidden_size", shape.hidden_size},
          {"intermediate_size", shape.intermediate_size},
          {"num_hidden_layers", shape.layers},
          {"num_attention_heads", shape.q_heads},
          {"num_key_value_heads", shape.kv_heads},
          {"head_dim", shape.head_dim},
          {"vocab_size", shape.vocab_size},
          {"max_position_embeddings", longest},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", shape.rope_theta},
          {"initializer_range", 0.02},
          {"tie_word_embeddings", true},
          {"attention_bias", false},
          {"mlp_bias", false},
          {"bos_token_id", bos_id},
          {"eos_token_id", eos_id},
          {"torch_dtype", "float16"}};
}

}  // namespace kvtransfer::train_lab
