#include "kvtransfer/experiment/output_folder.hpp"

#include <filesystem>
#include <optional>

#include "experiment/sample_results.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/experiment/journal.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace fs = std::filesystem;

namespace {

struct output_setup {
  temporary_folder parent;
  fs::path folder = parent.path() / "out";

  /// As a finished run leaves it.
  void finish_run() const {
    fs::create_directories(folder);
    {
      const results run = sample_results();
      journal(records_file(folder), run, false).append({"names", "transfer", 0}, run.tests[0].conditions[1].trials[0]);
    }
    parent.put("out/p_transfer_results.json", "{}");
    parent.put("out/notes", "mine");
  }

  std::optional<fs::path> make(bool resume = false) const { return make_output_folder(folder, "p", resume); }
};

}  // namespace

TEST_CASE("a folder without an earlier run is made, or taken as it is", "[experiment][output_folder]") {
  const output_setup setup;
  CHECK_FALSE(setup.make().has_value());
  CHECK(fs::is_directory(setup.folder));
  setup.parent.put("out/notes", "mine");
  CHECK_FALSE(setup.make().has_value());
  CHECK(fs::exists(setup.folder / "notes"));
}

TEST_CASE("a folder with an earlier run gets the first free number", "[experiment][output_folder]") {
  const output_setup setup;
  fs::create_directory(setup.parent.path() / "out.2");
  for (const char* expected : {"out.1", "out.3"}) {
    setup.finish_run();
    CHECK(setup.make() == fs::canonical(setup.parent.path()) / expected);
    CHECK(fs::is_empty(setup.folder));
    CHECK(read_text(setup.parent.path() / expected / "notes") == "mine");
  }
}

TEST_CASE("trials of a run that did not finish are kept too", "[experiment][output_folder]") {
  const output_setup setup;
  setup.finish_run();
  fs::remove(results_file(setup.folder, "p"));
  CHECK(setup.make().has_value());
}

TEST_CASE("a run that resumes keeps its folder; one without trials to resume does not take results over",
          "[experiment][output_folder]") {
  const output_setup setup;
  setup.finish_run();
  CHECK_FALSE(setup.make(true).has_value());
  CHECK(fs::exists(results_file(setup.folder, "p")));
  fs::remove(records_file(setup.folder));
  CHECK(setup.make(true).has_value());
}

TEST_CASE("another program's trials are an earlier run too, its results alone are none",
          "[experiment][output_folder]") {
  const output_setup setup;
  setup.finish_run();
  CHECK(make_output_folder(setup.folder, "other", false).has_value());
  setup.finish_run();
  fs::remove(records_file(setup.folder));
  CHECK_FALSE(make_output_folder(setup.folder, "other", false).has_value());
}

TEST_CASE("a run in progress keeps its folder", "[experiment][output_folder]") {
  const output_setup setup;
  fs::create_directories(setup.folder);
  const journal trials(records_file(setup.folder), sample_results(), false);
  CHECK(message_of<file_error>([&] { (void)setup.make(); }).find("expected one run at a time") != std::string::npos);
  CHECK(fs::exists(records_file(setup.folder)));
}

TEST_CASE("a link to the folder goes on pointing to the new run's files", "[experiment][output_folder]") {
  const output_setup setup;
  setup.finish_run();
  const fs::path link = setup.parent.path() / "link";
  fs::create_directory_symlink(setup.folder, link);
  CHECK(make_output_folder(link, "p", false) == fs::canonical(setup.parent.path()) / "out.1");
  CHECK(fs::is_symlink(link));
  CHECK(fs::is_empty(link));
}

TEST_CASE("the working folder is not renamed", "[experiment][output_folder]") {
  const output_setup setup;
  setup.finish_run();
  const fs::path before = fs::current_path();
  fs::current_path(setup.folder);
  const std::string complaint = message_of<file_error>([] { (void)make_output_folder(".", "p", false); });
  fs::current_path(before);
  CHECK(complaint ==
        ".: output: expected a folder that can be renamed, since it holds an earlier run, got the working "
        "folder, or one above it");
  CHECK(fs::exists(results_file(setup.folder, "p")));
}
