#include <ATen/ops/full.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/experiment/suite.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/project/projector_file.hpp"
#include "support/lossy_tokenizer.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/temporary_folder.hpp"
#include "support/tensors.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

struct outcome {
  int status = -1;
  std::string said;
  std::string complained;
};

/// train_projector, few steps of few rows.
const std::string program = KVT_PROGRAMS_DIR
    "/train_projector --device cpu --steps 2 --warm-up 1 --rows 3 --cases 2 --hidden-size 16 --intermediate-size 16 ";

/// What a shell makes of a command.
outcome run_command(const temporary_folder& folder, const std::string& command) {
  const std::string out = (folder.path() / "out").string();
  const std::string err = (folder.path() / "err").string();
  const int status = std::system(("( " + command + " ) > '" + out + "' 2> '" + err + "'").c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(out), read_text(err)};
}

/// Runs it with these arguments besides.
outcome run_program(const temporary_folder& folder, const std::string& arguments) {
  return run_command(folder, program + arguments);
}

/// Two models of one tokenizer that know nothing, of other widths, in folders `source` and `receiver`.
void write_models(const temporary_folder& folder) {
  nlohmann::json config = small_config();
  config["vocab_size"] = 360;
  for (const std::string name : {"source", "receiver"}) {
    const causal_lm model = small_model(1, config);
    save_model(folder.path() / name, model.config, model.weights, at::kFloat);
    for (const char* file : {"tokenizer.model", "tokenizer_config.json"}) {
      std::ofstream(folder.path() / name / file, std::ios::binary)
          << read_text(std::filesystem::path(KVT_SOURCE_DIR) / "tests/model/fixtures/tokenizer" / file);
    }
    config["num_hidden_layers"] = 2;
    config["num_key_value_heads"] = 4;
    config["rope_theta"] = 300.0;
  }
}

}  // namespace

TEST_CASE("the program leaves a projector that opens and what came of it, and refuses one of other models",
          "[train_projector]") {
  const temporary_folder folder;
  write_models(folder);
  const std::string models = "--source '" + (folder.path() / "source").string() + "' --receiver '" +
                             (folder.path() / "receiver").string() + "' ";
  for (const std::string kind : {"fuser", "ridge"}) {
    const std::filesystem::path output = folder.path() / kind;
    const outcome done = run_program(folder, models + "--projector " + kind + " --output '" + output.string() + "'");
    CHECK(done.complained.empty());
    REQUIRE(done.status == 0);
    CHECK_THAT(done.said, contains("held out: projected "));
    const auto stored = open_projector(output);
    CHECK(stored.projector.layers() == 2);
    CHECK(stored.models.source == causal_lm::open(folder.path() / "source", at::kCPU, at::kFloat).identity.digest);
    const nlohmann::json summary = read_json_object(output / "training.json");
    CHECK(summary["held_out"].size() == 4);
    CHECK(summary["content"]["low"].get<double>() <= summary["content"]["high"].get<double>());
    CHECK(read_suite(output / "held_out.json").tests.size() == 2);
    CHECK(summary["receiver_model"] == nlohmann::json(stored.models.receiver));
    CHECK_FALSE(std::filesystem::exists(output / "checkpoint.safetensors"));
  }
  {  // a fuser for another receiver is refused, and nothing is written
    const std::filesystem::path output = folder.path() / "again";
    const std::string swapped = "--source '" + (folder.path() / "source").string() + "' --receiver '" +
                                (folder.path() / "source").string() + "' ";
    const outcome refused = run_program(
        folder, swapped + "--initial '" + (folder.path() / "fuser").string() + "' --output '" + output.string() + "'");
    CHECK(refused.status == 2);
    CHECK_THAT(refused.complained, contains("fuser: receiver: expected model "));
    CHECK(std::count(refused.complained.begin(), refused.complained.end(), '\n') == 1);
    CHECK_FALSE(std::filesystem::exists(output));
  }
  {  // so are layers past the source's last, and tokenizers that cannot be aligned
    const std::filesystem::path output = folder.path() / "never";
    const auto refused = [&](const std::string& arguments) {
      const outcome said = run_program(folder, models + arguments + " --output '" + output.string() + "'");
      CHECK(said.status == 2);
      CHECK(std::count(said.complained.begin(), said.complained.end(), '\n') == 1);
      CHECK_FALSE(std::filesystem::exists(output));
      return said.complained;
    };
    CHECK_THAT(refused("--source-layers 4"), contains("count: expected 1 to 3 layers of the source, got 4"));
    const std::filesystem::path source = folder.path() / "source";
    std::filesystem::copy(source, folder.path() / "kept");
    std::filesystem::remove(source / "tokenizer.model");
    std::filesystem::remove(source / "tokenizer_config.json");
    write_lossy_tokenizer(source);
    for (const char* kind : {"fuser", "ridge"}) {
      CHECK_THAT(refused(std::string("--tokens text --projector ") + kind),
                 contains("the receiver's text in other tokens"));
    }
    std::filesystem::remove_all(source);
    std::filesystem::rename(folder.path() / "kept", source);
  }
  {  // texts of a file are read too, in bfloat16, some rows at a time
    const auto text = folder.put("texts", "The river is wide and slow.\n\nA bell rang in the distance.\n");
    const outcome done = run_program(folder, models + "--bfloat16 --rows-at-once 2 --schedule linear --keys rotated " +
                                                 "--receiver-reads text --text '" + text.string() + "' --output '" +
                                                 (folder.path() / "of_text").string() + "'");
    CHECK(done.complained.empty());
    CHECK(done.status == 0);
    CHECK(open_projector(folder.path() / "of_text").projector.rotation() == key_rotation::rotated);
  }
}

TEST_CASE("two processes train what one trains, each from its share of the rows", "[train_projector]") {
  const temporary_folder folder;
  write_models(folder);
  const auto place = [&](const std::string& name) { return "'" + (folder.path() / name).string() + "'"; };
  const std::string models = "--source " + place("source") + " --receiver " + place("receiver") + " ";
  REQUIRE(run_program(folder, models + "--output " + place("initial")).status == 0);
  const auto stored = open_fuser(folder.path() / "initial");
  std::vector<fuser_layer> layers = stored.projector.weights();
  for (fuser_layer& layer :
       layers) {  // so far open that the noise, which processes draw each for itself, counts for nothing
    layer.keys.gate_logit = at::full({}, 30.0F);
    layer.values.gate_logit = at::full({}, 30.0F);
  }
  const fuser_schedule schedule{1.0, 0.5, 10, 0.0};
  save_projector(folder.path() / "open",
                 projectors::fuser(stored.projector.rotation(), stored.projector.shape(), schedule, layers),
                 stored.models);
  const std::string arguments = models + "--learning-rate 0.01 --initial " + place("open") + " ";
  const outcome alone = run_program(folder, arguments + "--output " + place("one"));
  CHECK_THAT(alone.said, contains("1 process,"));
  REQUIRE(alone.status == 0);
  const std::string port = std::to_string(20000 + getpid() % 10000);
  const auto process = [&](const std::string& rank) {
    return "RANK=" + rank + " LOCAL_RANK=" + rank +
           " WORLD_SIZE=2 LOCAL_WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=" + port + " " + program + arguments +
           "--output " + place("two");
  };
  const outcome together = run_command(folder, process("1") + " & " + process("0") + " && wait $!");
  CHECK_THAT(together.said, contains("2 processes,"));
  REQUIRE(together.status == 0);
  const nlohmann::json one = read_json_object(folder.path() / "one" / "training.json");
  const nlohmann::json two = read_json_object(folder.path() / "two" / "training.json");
  CHECK(two["tokens"] == one["tokens"]);
  CHECK(two["last_loss"].get<double>() == Approx(one["last_loss"].get<double>()).epsilon(1e-4));
  std::map<std::string, at::Tensor> expected;
  open_fuser(folder.path() / "one").projector.for_each_tensor([&](const std::string& name, const at::Tensor& tensor) {
    expected[name] = tensor.clone();
  });
  open_fuser(folder.path() / "two").projector.for_each_tensor([&](const std::string& name, const at::Tensor& tensor) {
    CHECK(max_difference(tensor, expected.at(name)) < 2e-3);  // of steps of up to 0.01: Adam's first go by signs
  });
  const outcome refused = run_command(folder, "RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=x " + program +
                                                  models + "--output " + place("never"));
  CHECK(refused.status == 2);
  CHECK_THAT(refused.complained, contains("environment: MASTER_PORT: expected an integer from 1 to 65535"));
  CHECK_FALSE(std::filesystem::exists(folder.path() / "never"));
}
