#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experiment/phase2a_program.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/project/projector_file.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "kvtransfer/tensor/safetensors_writer.hpp"
#include "support/lossy_tokenizer.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

namespace fs = std::filesystem;

/// Two models, a suite of two tests, and projectors.
struct laboratory {
  temporary_folder folder;
  fs::path model = folder.path() / "model";
  fs::path other = folder.path() / "other";

  laboratory() {
    write_babbling_model(model);
    nlohmann::json config = small_config();
    config["vocab_size"] = 360;
    config["num_hidden_layers"] = 2;
    config["num_key_value_heads"] = 4;
    const causal_lm second = small_model(2, config);
    save_model(other, second.config, second.weights, at::kFloat);
    for (const char* file : {"tokenizer.model", "tokenizer_config.json"}) {
      fs::copy_file(model / file, other / file);
    }
    folder.put("suite.json", R"({"name": "two", "tests": [
      {"name": "one", "source": "The river is wide.", "target": "What is wide?", "markers": ["river"]},
      {"name": "two", "source": "A bell rang twice.", "target": "What rang?", "markers": ["bell"]}]})");
  }

  [[nodiscard]] projector_models digests(const fs::path& source) const {
    return {causal_lm::open(source, at::kCPU, at::kFloat).identity.digest,
            causal_lm::open(model, at::kCPU, at::kFloat).identity.digest};
  }

  /// A linear projector of random numbers from `source` to the model. @param from the layers of the source that each
  /// layer reads
  [[nodiscard]] fs::path linear_from(const fs::path& source, head_shape heads, std::int64_t from) const {
    std::vector<linear_layer> layers;
    for (std::int64_t i = 0; i < 3; ++i) {
      const auto map = [&] { return linear_map{at::randn({1, heads.features(), 32}).mul(0.1), at::randn({1, 32})}; };
      layers.push_back({{from}, map(), map(), false});
    }
    const fs::path output = folder.path() / ("linear" + std::to_string(from));
    save_projector(output, projectors::linear(key_rotation::unrotated, heads, {2, 16}, std::move(layers)),
                   digests(source));
    return output;
  }

  [[nodiscard]] fs::path identity() const {
    const fs::path output = folder.path() / "identity";
    save_projector(output, projectors::identity(3), digests(model));
    return output;
  }

  [[nodiscard]] program_outcome run(const std::string& conditions, const std::string& device = "cpu",
                                    const std::string& more = "") const {
    return run_phase2a(fmt::format(
        "--device {} --dtype float32 --max-new-tokens 4 --model '{}' --suite '{}' --output '{}' "
        "--conditions '{}' {}",
        device, model.string(), (folder.path() / "suite.json").string(), output().string(), conditions, more));
  }
  [[nodiscard]] fs::path output() const { return folder.path() / "results"; }

  /// The whole complaint about what a run of `projected:ARGUMENT` is refused for, with nothing written.
  [[nodiscard]] std::string refusal(const std::string& argument) const {
    const program_outcome refused = run("projected:" + argument);
    CHECK(refused.exit_code == 2);
    CHECK(std::ranges::count(refused.complaint, '\n') == 1);
    CHECK_FALSE(fs::exists(output()));
    return refused.complaint;
  }

  /// A copy of a projector whose tensors are changed.
  template <class Change>
  [[nodiscard]] std::string changed(const fs::path& projector, const std::string& name, Change change) const {
    const fs::path copy = folder.path() / name;
    fs::copy(projector, copy);
    const auto file = safetensors_file::open(projector / "projector.safetensors");
    std::map<std::string, at::Tensor> tensors;
    for (const std::string& each : file.names()) {
      tensors[each] = file.tensor(each).clone();
    }
    change(tensors);
    fs::remove(copy / "projector.safetensors");
    write_safetensors(copy / "projector.safetensors", tensors);
    return copy.string();
  }
};

/// Conditions of each test of a run's results.
nlohmann::json conditions_of(const laboratory& lab, std::size_t test) {
  return read_json_object(lab.output() / "phase2a_transfer_results.json")["tests"][test]["conditions"];
}

}  // namespace

TEST_CASE("projected by the identity is the transfer, its controls are not, and each says how it was made",
          "[experiment][conditions]") {
  const laboratory lab;
  const std::string by = lab.identity().string();
  const program_outcome done =
      lab.run(fmt::format("baseline,text_oracle,transfer,projected:{0},projected_other_source:{0},projected_zero:{0},"
                          "projected_noise:{0},projected:{0}+layers:0-1",
                          by));
  CHECK(done.complaint.find("error") == std::string::npos);
  REQUIRE(done.exit_code == 0);
  for (const std::size_t test : {0, 1}) {
    const nlohmann::json conditions = conditions_of(lab, test);
    CHECK(conditions.size() == 8);
    const auto trial = [&](const std::string& id) { return conditions.at(id)["trials"][0]; };
    CHECK(trial("projected:" + by)["token_ids"] == trial("transfer")["token_ids"]);
    const auto divergence = [&](const std::string& id) { return conditions.at(id)["next_token_kl"][0].get<double>(); };
    CHECK(std::abs(divergence("projected:" + by) - divergence("transfer")) < 1e-5);
    for (const char* control : {"projected_zero:", "projected_other_source:", "projected_noise:"}) {
      CHECK(divergence(control + by) > divergence("transfer") + 1e-3);
    }
    CHECK(conditions.at("projected:" + by)["edits"].dump().find("identity") != std::string::npos);
  }
  // Two projectors in one table are told apart by their names.
  const std::string page = read_text(lab.output() / "report.md");
  CHECK(page.find("Projected by identity, another test's source") != std::string::npos);
  std::vector<std::string> opponents;
  const nlohmann::json summary = read_json_object(lab.output() / "summary.json");
  for (const nlohmann::json& each : summary["comparisons"]) {
    if (each["a"] == "projected:" + by && each["metric"] == "success") {
      opponents.push_back(each["b"]);
    }
  }
  CHECK(opponents == std::vector<std::string>{"text_oracle", "projected_other_source:" + by, "projected_zero:" + by,
                                              "projected_noise:" + by, "baseline"});
}

TEST_CASE("a resumed run makes those trials anew whose projector has changed since", "[experiment][conditions]") {
  const laboratory lab;
  const fs::path projector = lab.identity();
  const std::string conditions = "transfer,projected:" + projector.string();
  REQUIRE(lab.run(conditions).exit_code == 0);
  const nlohmann::json before = conditions_of(lab, 0);
  fs::remove_all(projector);
  fs::rename(lab.linear_from(lab.model, {2, 16}, 0), projector);
  REQUIRE(lab.run(conditions, "cpu", "--resume").exit_code == 0);
  const nlohmann::json after = conditions_of(lab, 0);
  const auto digest = [&](const nlohmann::json& run, const std::string& id) { return run.at(id)["inputs_digest"]; };
  CHECK(after.at("transfer")["trials"] == before.at("transfer")["trials"]);
  CHECK(digest(after, "transfer").is_null());
  const std::string id = "projected:" + projector.string();
  CHECK(digest(after, id) != digest(before, id));
  CHECK(after.at(id)["edits"].dump().find("linear") != std::string::npos);
}

TEST_CASE("another model's cache is projected where the condition names that model", "[experiment][conditions]") {
  const laboratory lab;
  const std::string by = lab.linear_from(lab.other, {4, 16}, 1).string() + "@" + lab.other.string();
  const program_outcome done = lab.run(fmt::format("projected:{0},projected_other_source:{0}", by));
  REQUIRE(done.exit_code == 0);
  const nlohmann::json conditions = conditions_of(lab, 0);
  CHECK(conditions.at("projected:" + by)["edits"].dump().find("linear") != std::string::npos);
  CHECK(conditions.at("projected:" + by) != conditions.at("projected_other_source:" + by));
}

TEST_CASE("a projection on a GPU gives the tokens that it gives on the CPU", "[experiment][conditions][cuda]") {
  if (!cuda_available()) {
    return;
  }
  const laboratory lab;
  const std::string id = "projected:" + lab.linear_from(lab.other, {4, 16}, 1).string() + "@" + lab.other.string();
  const auto tokens_on = [&](const std::string& device) {
    REQUIRE(lab.run(id, device).exit_code == 0);
    std::vector<nlohmann::json> tokens;
    for (const std::size_t test : {0, 1}) {
      tokens.push_back(conditions_of(lab, test).at(id)["trials"][0]["token_ids"]);
    }
    return tokens;
  };
  CHECK(tokens_on("cuda") == tokens_on("cpu"));
}

TEST_CASE("Cache-to-Cache's projector goes on top of the text that the receiver has read", "[experiment][conditions]") {
  const laboratory lab;
  const fs::path converted = KVT_SOURCE_DIR "/tests/experiment/conditions/fixtures/c2c";
  const fs::path shut = lab.folder.path() / "shut";
  {
    const projectors::fuser open = open_fuser(converted).projector;
    std::vector<fuser_layer> layers = open.weights();
    for (fuser_layer& layer : layers) {
      if (!layer.source_layers.empty()) {
        layer.keys.gate_logit = at::zeros({});
        layer.values.gate_logit = at::zeros({});
      }
    }
    save_projector(shut, projectors::fuser(open.rotation(), open.shape(), open.schedule(), std::move(layers)),
                   open_fuser(converted).models);
  }
  const std::string by = converted.string();
  const std::string with_sharer = shut.string() + "@" + lab.model.string();
  const program_outcome done =
      lab.run(fmt::format("transfer,projected:{0},projected_other_source:{0},projected:{1},"
                          "projected:{2},projected_other_source:{2}",
                          by, shut.string(), with_sharer));
  REQUIRE(done.exit_code == 0);
  for (const std::size_t test : {0, 1}) {
    const nlohmann::json conditions = conditions_of(lab, test);
    const auto divergence = [&](const std::string& id) { return conditions.at(id)["next_token_kl"][0].get<double>(); };
    CHECK(std::abs(divergence("projected:" + by) - divergence("transfer")) > 1e-3);
    CHECK(std::abs(divergence("projected_other_source:" + by) - divergence("projected:" + by)) > 1e-4);
    // With its gates shut it leaves the receiver what it has read, whatever the sharer was shown.
    for (const std::string& id :
         {"projected:" + shut.string(), "projected:" + with_sharer, "projected_other_source:" + with_sharer}) {
      CHECK(std::abs(divergence(id) - divergence("transfer")) < 1e-6);
    }
  }
}

TEST_CASE("a projector that does not fit is refused with one line before anything is written",
          "[experiment][conditions]") {
  const laboratory lab;
  const fs::path good = lab.linear_from(lab.other, {4, 16}, 1);
  const std::string sharer = "@" + lab.other.string();
  CHECK_THAT(lab.refusal((lab.folder.path() / "nowhere").string()), contains("nowhere/projector.json"));
  CHECK_THAT(lab.refusal(good.string() + "@"), contains("expected FOLDER, or FOLDER@MODEL"));
  CHECK_THAT(lab.refusal(good.string() + "@" + (lab.folder.path() / "no_model").string()), contains("no_model"));
  CHECK_THAT(lab.refusal(good.string()), contains("source: expected model "));  // the run's own model
  CHECK_THAT(lab.refusal(lab.linear_from(lab.other, {4, 16}, 2).string() + sharer), contains("source layer: expected"));
  CHECK_THAT(lab.refusal(lab.changed(good, "renamed",
                                     [](auto& tensors) {
                                       tensors["layers.0.key.weight"] = tensors.at("layers.0.keys.weight");
                                       tensors.erase("layers.0.keys.weight");
                                     }) +
                         sharer),
             contains("layers.0.keys.weight: expected a tensor [1, 64, 32], got none of that name"));
  CHECK_THAT(
      lab.refusal(lab.changed(good, "missing", [](auto& tensors) { tensors.erase("layers.2.values.bias"); }) + sharer),
      contains("layers.2.values.bias: expected a tensor [1, 32], got none of that name"));
  CHECK_THAT(
      lab.refusal(lab.changed(good, "surplus", [](auto& tensors) { tensors["more"] = at::randn({2}); }) + sharer),
      contains("\"more\": expected no tensor of this name"));
  CHECK_THAT(lab.refusal(
                 lab.changed(good, "shape", [](auto& tensors) { tensors["layers.1.keys.bias"] = at::randn({1, 31}); }) +
                 sharer),
             contains("layers.1.keys.bias: expected [1, 32], got [1, 31]"));
  CHECK_THAT(
      lab.refusal(lab.changed(good, "numbers", [](auto& tensors) { tensors["layers.1.keys.bias"].add_(1); }) + sharer),
      contains("the digest of the tensors beside it"));
}

TEST_CASE("a receiver of another digest, other layers or heads are refused alike", "[experiment][conditions]") {
  const laboratory lab;
  const auto saved = [&](const std::string& name, const auto& projector, const projector_models& models) {
    save_projector(lab.folder.path() / name, projector, models);
    return (lab.folder.path() / name).string();
  };
  const projector_models of_other{lab.digests(lab.model).source, lab.digests(lab.other).source};
  CHECK_THAT(lab.refusal(saved("foreign", projectors::identity(3), of_other)), contains("receiver: expected model "));
  CHECK_THAT(lab.refusal(saved("deep", projectors::identity(4), {})), contains("a projector for the receiver's 3"));
  const linear_map map{at::randn({1, 16, 32}), at::randn({1, 32})};
  const projectors::linear narrow(key_rotation::unrotated, {1, 16}, {2, 16},
                                  std::vector<linear_layer>(3, {{0}, map, map, false}));
  CHECK_THAT(lab.refusal(saved("narrow", narrow, {})), contains("source layer 0: keys: expected [batch, 1, seq, 16]"));
}

TEST_CASE("a sharer whose tokenizer loses the text is refused", "[experiment][conditions]") {
  const laboratory lab;
  const fs::path good = lab.linear_from(lab.other, {4, 16}, 1);
  fs::remove(lab.other / "tokenizer.model");
  fs::remove(lab.other / "tokenizer_config.json");
  write_lossy_tokenizer(lab.other);
  CHECK_THAT(lab.refusal(good.string() + "@" + lab.other.string()),
             contains("tokens of test one: expected a sharer whose tokenizer gives the text back, got another text"));
}
