#include <sys/wait.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/experiment/suite.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/project/projector_file.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

struct outcome {
  int status = -1;
  std::string said;
  std::string complained;
};

/// Runs train_projector, few steps of few rows, with these arguments besides.
outcome run_program(const temporary_folder& folder, const std::string& arguments) {
  const std::string out = (folder.path() / "out").string();
  const std::string err = (folder.path() / "err").string();
  const std::string command = std::string(KVT_PROGRAMS_DIR
                                          "/train_projector --device cpu --steps 2 --warm-up 1 "
                                          "--rows 3 --cases 2 --hidden-size 16 --intermediate-size 16 ") +
                              arguments + " > '" + out + "' 2> '" + err + "'";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(out), read_text(err)};
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
