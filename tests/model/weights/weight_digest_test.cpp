#include "model/weights/weight_digest.hpp"

#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/model/weights/find_gguf.hpp"
#include "kvtransfer/model/weights/gguf_config.hpp"
#include "kvtransfer/model/weights/gguf_weights.hpp"
#include "kvtransfer/tensor/safetensors_folder.hpp"
#include "kvtransfer/tensor/safetensors_writer.hpp"
#include "model/tokenizers/tokenizer_digest.hpp"
#include "model/transformer_fixture.hpp"
#include "model/weights/load.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace fs = std::filesystem;

namespace {

using tensors = std::map<std::string, at::Tensor>;

tensors tensors_of(const fs::path& folder) {
  tensors all;
  const safetensors_folder files = safetensors_folder::open(folder);
  for (const std::string& name : files.names()) {
    all[name] = files.tensor(name).clone();
  }
  return all;
}

std::string digest_of_folder(const fs::path& folder, const fs::path& config, at::ScalarType dtype = at::kFloat) {
  return load_with_digest(folder, read_model_config(config), at::kCPU, dtype).digest;
}

std::string digest_of_tensors(const tensors& all, const fs::path& config) {
  const temporary_folder folder;
  write_safetensors(folder.path() / "model.safetensors", all);
  return digest_of_folder(folder.path(), config);
}

}  // namespace

TEST_CASE("digests of models and tokenizers are those that Python computes", "[model][weight_digest]") {
  const fs::path root = KVT_SOURCE_DIR;
  const nlohmann::json expected = read_json_object(root / "tests/model/fixtures/digests.json");
  CHECK(expected.size() >= 13);
  for (const auto& [name, digests] : expected.items()) {
    CAPTURE(name);
    const fs::path path = root / name;
    const std::string tokenizer = digests["tokenizer"].is_null() ? "" : digests["tokenizer"].get<std::string>();
    CHECK(tokenizer_digest(path) == tokenizer);
    if (!name.ends_with(".gguf")) {
      CHECK(digest_of_folder(path, path) == digests["model"].get<std::string>());
      CHECK(causal_lm::open(path, at::kCPU, at::kFloat).identity.tokenizer == tokenizer);
    } else {
      weight_digest digest;
      const gguf_file file = gguf_file::open(path);
      for (const auto& [tensor, entry] : file.header().tensors) {
        digest.add(tensor, describe(entry.type).name, entry.shape, file.blocks(entry));
      }
      CHECK(digest.text() == digests["model"].get<std::string>());
    }
  }
}

TEST_CASE("a model opened from a GGUF file has the digest of its blocks as they are stored", "[model][weight_digest]") {
  const fs::path root = KVT_SOURCE_DIR;
  const char* name = "tests/model/weights/fixtures/gguf/llama.gguf";
  const nlohmann::json expected = read_json_object(root / "tests/model/fixtures/digests.json");
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    CHECK(causal_lm::open(root / name, at::kCPU, dtype).identity.digest == expected[name]["model"].get<std::string>());
  }
}

TEST_CASE("a digest does not depend on the type that weights are loaded in", "[model][weight_digest]") {
  for (const std::string& name : transformer_fixture_names()) {
    const fs::path folder = model_fixtures() / name;
    const std::string digest = digest_of_folder(folder, folder);
    for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16, at::kDouble}) {
      CHECK(digest_of_folder(folder, folder, dtype) == digest);
    }
  }
}

TEST_CASE("a digest does not depend on how tensors are spread over files", "[model][weight_digest]") {
  const fs::path sharded = model_fixtures() / "wide-heads-bf16-sharded";
  CHECK(digest_of_tensors(tensors_of(sharded), sharded) == digest_of_folder(sharded, sharded));
}

TEST_CASE("a digest is that of the files as they were loaded, whatever became of the weights in memory",
          "[model][weight_digest]") {
  for (const std::string name :
       {"tests/model/fixtures/gqa-tied-fp32", "tests/model/weights/fixtures/gguf/llama.gguf"}) {
    CAPTURE(name);
    const fs::path path = fs::path(KVT_SOURCE_DIR) / name;
    const causal_lm changed = causal_lm::open(path, at::kCPU, at::kFloat);
    changed.weights.embed_tokens.zero_();
    changed.weights.norm.zero_();
    CHECK(changed.identity.digest == causal_lm::open(path, at::kCPU, at::kFloat).identity.digest.text());
  }
}

TEST_CASE("files that were written in place since they were loaded are found out when their digest is asked for",
          "[model][weight_digest]") {
  const temporary_folder folder;
  fs::copy(model_fixtures() / "gqa-tied-fp32", folder.path() / "model");
  const fs::path file = folder.path() / "model" / "model.safetensors";
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
  const causal_lm model = causal_lm::open(folder.path() / "model", at::kCPU, at::kFloat);
  const model_identity early = causal_lm::open(folder.path() / "model", at::kCPU, at::kFloat).identity;
  const std::string digest = early.digest;
  fs::last_write_time(file, fs::last_write_time(file) + std::chrono::seconds(1));
  CHECK_THAT(message_of<file_error>([&] { (void)model.identity.digest.text(); }),
             contains("got a file that was written to since"));
  CHECK(early.digest == digest);
  CHECK(model.identity == causal_lm(model).identity);  // with itself it is compared without
}

TEST_CASE("one bit of any tensor, and a tensor's type, change the digest", "[model][weight_digest]") {
  const fs::path folder = model_fixtures() / "gqa-tied-fp32";
  const std::string digest = digest_of_folder(folder, folder);
  tensors all = tensors_of(folder);
  for (auto& [name, tensor] : all) {
    CAPTURE(name);
    auto* last = static_cast<std::uint8_t*>(tensor.data_ptr()) + tensor.nbytes() - 4;
    *last ^= 1;  // a float's lowest bit
    CHECK(digest_of_tensors(all, folder) != digest);
    *last ^= 1;
  }
  CHECK(digest_of_tensors(all, folder) == digest);
  all["model.norm.weight"] = all["model.norm.weight"].to(at::kDouble);
  CHECK(digest_of_tensors(all, folder) != digest);
}

TEST_CASE("stored tensors that are not used count too", "[model][weight_digest]") {
  const fs::path folder = model_fixtures() / "gqa-tied-fp32";
  tensors all = tensors_of(folder);
  all["lm_head.weight"] = all["model.embed_tokens.weight"].clone();
  CHECK(digest_of_tensors(all, folder) != digest_of_folder(folder, folder));
}

TEST_CASE("weights in memory have the digest of a file that stores just them", "[model][weight_digest]") {
  for (const std::string& name : transformer_fixture_names()) {
    CAPTURE(name);
    const fs::path folder = model_fixtures() / name;
    const model_config config = read_model_config(folder);
    const model_weights weights = load_weights(folder, config, at::kCPU, at::kBFloat16);
    const temporary_folder saved;
    save_model(saved.path(), config, weights, at::kBFloat16);
    CHECK(digest_of(weights) == digest_of_folder(saved.path(), saved.path()));
  }
}

TEST_CASE("tensors come in the order of their names, and lengths keep names apart from what follows",
          "[model][weight_digest]") {
  weight_digest digest;
  const std::vector<std::int64_t> scalar;
  digest.add("a", "U8", scalar, {});
  CHECK_THROWS_AS(digest.add("a", "U8", scalar, {}), value_error);
  CHECK_THROWS_AS(digest.add("A", "U8", scalar, {}), value_error);
  weight_digest one;
  weight_digest other;
  one.add("ab", "c", scalar, {});
  other.add("a", "bc", scalar, {});
  CHECK(one.text() != other.text());
}

TEST_CASE("a tokenizer's digest counts the files that are read, and no others", "[model][weight_digest]") {
  const temporary_folder folder;
  CHECK(tokenizer_digest(folder.path()).empty());
  folder.put("tokenizer_config.json", "{}");
  CHECK(tokenizer_digest(folder.path()).empty());
  folder.put("tokenizer.model", "pieces");
  const std::string pieces = tokenizer_digest(folder.path());
  CHECK(pieces.size() == 32);
  folder.put("README.md", "words");
  CHECK(tokenizer_digest(folder.path()) == pieces);
  folder.put("tokenizer.json", "{}");
  const std::string json = tokenizer_digest(folder.path());
  CHECK(json != pieces);
  folder.put("tokenizer.model", "other pieces");  // not read beside tokenizer.json
  CHECK(tokenizer_digest(folder.path()) == json);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                           "chat_template.jinja"}) {
    const std::string before = tokenizer_digest(folder.path());
    folder.put(name, "{ }");
    CHECK(tokenizer_digest(folder.path()) != before);
  }
}
