// A rotary type of one's own: a name, a function that makes the frequencies, and no edit of the library.
//
// "halved" turns every pair at half of its usual speed. A configuration that names it is read like any other, and keys
// written with it are moved like any others.

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "kvtransfer/rope/move_tensor.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "kvtransfer/rope/types/default.hpp"

namespace rope = kvtransfer::rope;

namespace {

rope::frequencies halved(const rope::type_parameters& parameters, std::int64_t /*length*/) {
  rope::frequencies plain = rope::types::plain(parameters, 1);
  for (float& frequency : plain.inv_freq) {
    frequency /= 2;
  }
  return plain;
}

}  // namespace

int main() {
  rope::config_knowledge knowledge;
  knowledge.types.add("halved", {halved});

  const nlohmann::json config = {{"model_type", "llama"},
                                 {"num_hidden_layers", 1},
                                 {"hidden_size", 64},
                                 {"num_attention_heads", 4},
                                 {"rope_parameters", {{"rope_type", "halved"}, {"rope_theta", 1e4}}}};
  const auto own = kvtransfer::rotary_embeddings_from_config(config, knowledge).front().at(1);

  // Twice the way at half the speed is the same rotation.
  nlohmann::json usual = config;
  usual["rope_parameters"]["rope_type"] = "default";
  const auto plain = kvtransfer::rotary_embeddings_from_config(usual).front().at(1);
  const at::Tensor keys = at::randn({1, 2, 3, 16}, at::kDouble);
  const double difference = (rope::shift(keys, 20, own) - rope::shift(keys, 10, plain)).abs().max().item<double>();
  fmt::print("rope_type {}: keys moved by 20 differ from a plain move by 10 by {:.1e}\n", own.rope_type, difference);
  return difference < 1e-12 ? EXIT_SUCCESS : EXIT_FAILURE;
}
