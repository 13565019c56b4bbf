#include "kvtransfer/cache/model_digest.hpp"

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "kvtransfer/cache/model_identity.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("a digest is worked out once, for all copies and threads", "[cache][model_digest]") {
  std::atomic<int> times = 0;
  const model_digest digest = model_digest::worked_out_by([&] { return "d" + std::to_string(++times); });
  const model_digest copy = digest;
  CHECK(digest == copy);
  CHECK_FALSE(digest.empty());
  CHECK(times == 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { (void)copy.text(); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(times == 1);
  CHECK(digest.text() == "d1");
  CHECK(digest == model_digest("d1"));
  CHECK_FALSE(digest == model_digest("d2"));
  CHECK(fmt::format("{}", digest) == "d1");
}

TEST_CASE("a model is compared with itself, and with nobody, without its digest", "[cache][model_digest]") {
  const model_identity model{
      .digest = model_digest::worked_out_by([]() -> std::string { throw std::logic_error("read"); }),
      .quantization = "none"};
  const model_identity same = model;
  CHECK(model.is_known());
  CHECK(model == same);
  CHECK(differences(model, same).empty());
  CHECK_FALSE(model == model_identity{});
  CHECK_THROWS_AS(model == model_identity{"another"}, std::logic_error);
}

TEST_CASE("a digest that could not be worked out is tried again", "[cache][model_digest]") {
  int times = 0;
  const model_digest digest = model_digest::worked_out_by([&]() -> std::string {
    if (++times == 1) {
      throw std::runtime_error("a file is away");
    }
    return "d";
  });
  CHECK_THROWS_AS(digest.text(), std::runtime_error);
  CHECK(digest.text() == "d");
}

TEST_CASE("no text is nobody's digest", "[cache][model_digest]") {
  CHECK(model_digest("").empty());
  CHECK(model_digest("") == model_digest());
  CHECK(model_digest().text().empty());
  CHECK_FALSE(model_digest("d") == model_digest());
}
