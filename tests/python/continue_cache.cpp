// The library's side of cache_file_test.py: a model of ours goes on from a cache file, or from a text, and saves what
// it holds.
//
//     {"model": DIR|FILE, "cache": FILE or "text": [[ids]…], "ids": [[ids]…], "new_tokens": N, "save": FILE}
//
// It reads such requests, one a line, and answers each with a line of JSON: the token ids of every row and what the
// model is, or what it was refused for. Without "ids" it reads the text alone, and saves it. Models stay open.

#include <cstdint>
#include <exception>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"

using namespace kvtransfer;

namespace {

using token_rows = std::vector<std::vector<std::int64_t>>;

nlohmann::json answered(const causal_lm& model, const nlohmann::json& asked) {
  cache held = asked.contains("cache") ? cache_file::open(asked["cache"].get<std::string>()).load(model.identity)
                                       : prefill(model, asked["text"].get<token_rows>());
  token_rows said;
  if (asked.contains("ids")) {
    const plan input = prepend(held.view(), asked["ids"].get<token_rows>());
    generation_output output = generate(model, input, {.max_new_tokens = asked["new_tokens"].get<std::int64_t>()});
    for (const completion& row : output.sequences) {
      said.push_back(row.token_ids);
    }
    held = std::move(output.running).release();
  }
  if (asked.contains("save")) {
    save_cache(asked["save"].get<std::string>(), held);
  }
  const model_identity& identity = model.identity;
  return {{"token_ids", said},
          {"identity",
           {{"digest", identity.digest.text()},
            {"quantization", identity.quantization},
            {"adapter", identity.adapter},
            {"tokenizer", identity.tokenizer},
            {"rotary", identity.rotary},
            {"configuration", identity.configuration}}}};
}

}  // namespace

int main() {
  std::map<std::string, causal_lm> models;
  for (std::string line; std::getline(std::cin, line);) {
    nlohmann::json answer;
    try {
      const nlohmann::json asked = nlohmann::json::parse(line);
      const auto path = asked.at("model").get<std::string>();
      if (!models.contains(path)) {
        models.emplace(path, causal_lm::open(path, at::kCPU, at::kFloat));
      }
      answer = answered(models.at(path), asked);
    } catch (const std::exception& bad) {
      answer = {{"refused", bad.what()}};
    }
    std::cout << answer.dump() << std::endl;
  }
}
