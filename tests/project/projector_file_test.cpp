#include "kvtransfer/project/projector_file.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "kvtransfer/tensor/safetensors_writer.hpp"
#include "rope/random_keys.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

const std::string converted = KVT_SOURCE_DIR "/tests/project/fixtures/c2c";

using tensors = std::map<std::string, at::Tensor>;

tensors tensors_in(const std::filesystem::path& folder) {
  const safetensors_file file = safetensors_file::open(folder / "projector.safetensors");
  tensors all;
  for (const std::string& name : file.names()) {
    all[name] = file.tensor(name);
  }
  return all;
}

/// What opening the converted folder says after a change of its tensors or of its JSON.
std::string refusal_of(const std::function<void(tensors&, nlohmann::json&)>& change) {
  const temporary_folder folder;
  tensors all = tensors_in(converted);
  nlohmann::json document = read_json_object(converted + "/projector.json");
  change(all, document);
  write_safetensors(folder.path() / "projector.safetensors", all);
  write_text(folder.path() / "projector.json", document.dump());
  const std::string said = message_of<file_error>([&] { static_cast<void>(open_projector(folder.path())); });
  const std::string place = folder.path().string() + "/";
  return said.starts_with(place) ? said.substr(place.size()) : said;
}

projectors::linear some_linear() {
  return {key_rotation::unrotated,
          {2, 4},
          {3, 2},
          {{{1, 0},
            {random_keys({1, 32, 6}), random_keys({1, 6})},
            {random_keys({1, 32, 6}), random_keys({1, 6})},
            false,
            2},
           {},
           {{1}, {random_keys({3, 4, 2}), random_keys({3, 2})}, {random_keys({3, 4, 2}), random_keys({3, 2})}, true}}};
}

}  // namespace

TEST_CASE("a projector comes back from its folder, number by number", "[project][file]") {
  const temporary_folder folder;
  const projectors::linear linear = some_linear();
  const projector_models made_for{"a", "b", receiver_reading::text, token_pairing::longest};
  save_projector(folder.path() / "linear", linear, made_for);
  const auto opened = open_projector(folder.path() / "linear");
  CHECK(opened.models == made_for);
  CHECK(opened.projector.digest() == "linear " + linear.digest());
  CHECK(opened.projector.rotation() == key_rotation::unrotated);
  CHECK(opened.projector.layers() == 3);
  CHECK(opened.projector.source_layers(0) == std::vector<std::int64_t>{1, 0});
  CHECK(opened.projector.source_layers(1).empty());
  tensors expected;
  linear.for_each_tensor([&](const std::string& name, const at::Tensor& tensor) { expected[name] = tensor; });
  const tensors stored = tensors_in(folder.path() / "linear");
  REQUIRE(stored.size() == expected.size());
  for (const auto& [name, tensor] : expected) {
    CHECK(at::equal(stored.at(name), tensor));
  }

  const projectors::fuser fuser = projectors::fuser::random(key_rotation::unrotated, {{2, 4}, {3, 2}, 5, 6, 2, 3},
                                                            {0.9, 0.02, 77, 0.25}, {{4, 1}, {}}, 3);
  save_projector(folder.path() / "fuser", fuser);
  const auto again = open_fuser(folder.path() / "fuser");
  CHECK(again.projector.digest() == fuser.digest());
  CHECK(again.projector.shape() == fuser.shape());
  CHECK(again.projector.schedule() == fuser.schedule());
  CHECK(again.models == projector_models{});
  CHECK_THAT(message_of<file_error>([&] { static_cast<void>(open_fuser(folder.path() / "linear")); }),
             contains("projector.json: kind: expected fuser"));

  save_projector(folder.path() / "identity", projectors::identity(4, key_rotation::unrotated));
  CHECK(open_projector(folder.path() / "identity").projector.digest() == "identity unrotated");
}

TEST_CASE("a converted fuser says for which models it was made, and that the receiver reads the text",
          "[project][file]") {
  const auto stored = open_projector(converted);
  CHECK(stored.models == projector_models{"a source", "a receiver", receiver_reading::text});
  const model_identity source{.digest = "a source"};
  const model_identity receiver{.digest = "a receiver"};
  require_models(stored.models, source, receiver, "here");
  require_models(stored.models, {}, receiver, "here");
  require_models({}, receiver, source, "here");
  CHECK(message_of<frame_error>([&] { require_models(stored.models, source, source, "here"); }) ==
        "here: receiver: expected model a receiver, got model a source");
}

TEST_CASE("a tensor that is missing, surplus, renamed or of another shape or type is refused by name",
          "[project][file]") {
  CHECK(refusal_of([](tensors&, nlohmann::json&) {}).empty());
  CHECK(refusal_of([](tensors& all, nlohmann::json&) { all.erase("layers.1.key_proj_mlp2.blocks.1.w2.weight"); }) ==
        "projector.safetensors: layers.1.key_proj_mlp2.blocks.1.w2.weight: expected a tensor [5, 6], got none of that "
        "name");
  CHECK(refusal_of([](tensors& all, nlohmann::json&) { all["layers.1.gate"] = at::zeros({1}); }) ==
        "projector.safetensors: \"layers.1.gate\": expected no tensor of this name, got one");
  CHECK_THAT(refusal_of([](tensors& all, nlohmann::json&) {
               auto renamed = all.extract("layers.2.value_in.bias");
               renamed.key() = "layers.2.value_in.offset";
               all.insert(std::move(renamed));
             }),
             StartsWith("projector.safetensors: layers.2.value_in.bias: expected a tensor [5]"));
  CHECK(refusal_of([](tensors& all, nlohmann::json&) {
          all["layers.2.value_in.weight"] = all["layers.2.value_in.weight"].transpose(0, 1).contiguous();
        }) == "projector.safetensors: layers.2.value_in.weight: expected [5, 11], got [11, 5]");
  CHECK_THAT(refusal_of([](tensors& all, nlohmann::json&) {
               all["layers.2.value_in.bias"] = all["layers.2.value_in.bias"].to(at::kHalf);
             }),
             contains("layers.2.value_in.bias: expected floating numbers, of one type in all tensors, got Half"));
  CHECK_THAT(refusal_of([](tensors& all, nlohmann::json&) { all["layers.2.value_in.bias"] = at::zeros({5}); }),
             contains("projector.json: digest: expected "));
}

TEST_CASE("a field that is missing, unknown or out of its range is refused by name", "[project][file]") {
  const auto refused = [](auto change) {
    return refusal_of([&](tensors&, nlohmann::json& document) { change(document); });
  };
  CHECK_THAT(refused([](auto& json) { json["format"] = "another"; }), StartsWith("projector.json: format: expected"));
  CHECK_THAT(refused([](auto& json) { json["version"] = 2; }), StartsWith("projector.json: version: expected"));
  CHECK_THAT(refused([](auto& json) { json["kind"] = "wizard"; }), StartsWith("projector.json: kind: expected"));
  CHECK_THAT(refused([](auto& json) { json["keys"] = "half"; }),
             StartsWith("projector.json: keys: expected rotated or unrotated, got \"half\""));
  CHECK_THAT(refused([](auto& json) { json["gates"] = 1; }), StartsWith("projector.json: \"gates\": expected one of"));
  CHECK_THAT(refused([](auto& json) { json.erase("dropout"); }), contains("an object with dropout"));
  CHECK_THAT(refused([](auto& json) { json["dropout"] = 1.5; }), contains("dropout: expected a number from 0"));
  CHECK_THAT(refused([](auto& json) { json["hidden_size"] = 1LL << 40; }), contains("hidden_size: expected"));
  CHECK_THAT(refused([](auto& json) { json["source"]["kv_heads"] = 0; }), contains("source.kv_heads: expected"));
  CHECK_THAT(refused([](auto& json) { json["layers"][1]["source_layers"] = {-1}; }),
             contains("layers[1].source_layers[0]: expected"));
  CHECK_THAT(refused([](auto& json) { json["layers"][1]["source_layers"] = {2, 3}; }),
             contains("layers.1.key_in.weight: expected [5, 14], got [5, 11]"));
  CHECK_THAT(refused([](auto& json) { json["layers"][1]["source_layers"] = nlohmann::json::array(); }),
             contains("projector.safetensors: \"layers.1."));
  CHECK_THAT(refused([](auto& json) { json["layers"][1]["source_layers"] = {0}; }),
             contains("projector.json: digest: expected "));
}
