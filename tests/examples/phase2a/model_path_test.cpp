#include "model_path.hpp"

#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer::test;
using phase2a::model_path;

TEST_CASE("a model is named by its path, or by its folder's name among the models", "[examples][phase2a]") {
  const temporary_folder models;
  std::filesystem::create_directory(models.path() / "one");
  std::filesystem::create_directory(models.path() / "two");
  models.put("README.md", "");
  CHECK(model_path("one", models.path()) == models.path() / "one");
  CHECK(model_path("/some/where", models.path()) == "/some/where");
  CHECK(model_path("a/b.gguf", models.path()) == "a/b.gguf");
  CHECK(model_path("/", models.path()) == "/");
  CHECK(message_of<kvtransfer::value_error>([&] { (void)model_path("three", models.path()); }) ==
        "--model: name: expected a path, or one of one, two (fetch.py beside them fetches others), got \"three\"");
  CHECK_THROWS_AS(model_path("", models.path()), kvtransfer::value_error);
}
