// How a model rotates its keys, from its configuration alone.
//
// Reads lines {"name": …, "config": {…}, "lengths": [1, 4096]} from stdin and answers each by one line on stdout: for
// every length (tokens in the longest row of the batch) every layer's inverse frequencies, attention scaling, pairing
// and rotary window, or {"name": …, "error": …} where the configuration cannot be read. The exit status is 0 if every
// line was JSON, else 2.
//
//   rope_of_config < configs.jsonl

#include <cstddef>
#include <cstdint>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"

namespace {

using json = nlohmann::ordered_json;

json describe_layer(const kvtransfer::rotary_specification& layer) {
  return {{"rotates", layer.rotates()},
          {"inv_freq", layer.inv_freq},
          {"attention_scaling", layer.attention_scaling},
          {"pairing", kvtransfer::rope::to_string(layer.pairing)},
          {"rotary_dim", layer.rotary_dim()},
          {"window_offset", layer.window_offset}};
}

json describe_lengths(const kvtransfer::json_reader& request) {
  const auto embeddings = kvtransfer::rotary_embeddings_from_config(request.object("config").value());
  json lengths = json::array();
  request.member("lengths").for_each_item([&](const kvtransfer::json_reader& item) {
    const std::int64_t length = item.integer(1);
    json layers = json::array();
    for (const kvtransfer::rotary_embedding& embedding : embeddings) {
      layers.push_back(describe_layer(embedding.at(length)));
    }
    lengths.push_back({{"length", length}, {"layers", std::move(layers)}});
  });
  return lengths;
}

/// The answer to one line. Sets `well_formed` to true where the line is JSON.
json answer(const std::string& line, std::size_t number, bool& well_formed) {
  const std::string where = "line " + std::to_string(number);
  json name = nullptr;
  try {
    const nlohmann::json document = kvtransfer::parse_json(line, where);
    const kvtransfer::json_reader request(document, where);
    well_formed = true;
    if (request.contains("name")) {
      name = document.at("name");
    }
    request.require_members({"name", "config", "lengths"});
    return {{"name", name}, {"lengths", describe_lengths(request)}};
  } catch (const kvtransfer::error& refused) {
    return {{"name", name}, {"error", refused.what()}};
  }
}

}  // namespace

int main() {
  bool all_well_formed = true;
  std::string line;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    bool well_formed = false;
    const json reply = answer(line, number, well_formed);
    std::cout << reply.dump(-1, ' ', false, json::error_handler_t::replace) << '\n' << std::flush;
    all_well_formed = all_well_formed && well_formed;
  }
  return all_well_formed ? 0 : 2;
}
