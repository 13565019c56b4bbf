#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/random_operations/operation.hpp"
#include "model/random_operations/shrunk.hpp"
#include "model/random_operations/world.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

causal_lm tiny_model() {
  nlohmann::json config = small_config();
  config["num_hidden_layers"] = 2;
  config["hidden_size"] = 32;
  config["intermediate_size"] = 48;
  return small_model(5, config);
}

/// Runs sequences and remembers what was done.
struct runner {
  causal_lm model = tiny_model();
  vector_model slow{model};
  planted fault = planted::nothing;
  std::vector<std::string> log = {};
  std::array<std::array<std::uint32_t, 2>, operation::kinds> counts = {};  ///< done and refused, by kind

  /// The first difference; empty where there is none.
  std::string run(const std::vector<operation>& sequence) {
    world both(model, slow, fault);
    log.clear();
    std::string difference;
    for (std::size_t i = 0; difference.empty() && i < sequence.size(); ++i) {
      try {
        difference = both.run(sequence[i]);
      } catch (const std::exception& thrown) {
        difference = fmt::format("{}", thrown.what());
      }
      if (!both.done().empty()) {
        log.push_back(both.done());
        ++counts[sequence[i].what][both.refused() ? 1 : 0];
      }
    }
    return difference;
  }

  /// A failing sequence as a few lines: what is done, then what differs.
  std::string explained(const std::vector<operation>& failing) {
    const std::vector<operation> least =
        shrunk(failing, [&](const std::vector<operation>& shorter) { return !run(shorter).empty(); });
    const std::string difference = run(least);
    return fmt::format("{}\n-> {}", fmt::join(log, "\n"), difference);
  }

  void check(std::uint32_t first, std::uint32_t count) {
    std::uint32_t failed = 0;
    for (std::uint32_t seed = first; seed < first + count && failed < 5; ++seed) {
      const std::vector<operation> sequence = random_sequence(seed);
      if (!run(sequence).empty()) {
        ++failed;
        FAIL_CHECK("sequence " << seed << ":\n" << explained(sequence));
      }
    }
  }
};

}  // namespace

TEST_CASE("random operations on caches say what plain vectors say, or are refused where those say so",
          "[model][random_operations]") {
  runner both;
  both.check(1, 300);
  using kind = operation::kind;
  for (std::size_t what = 0; what < operation::kinds; ++what) {
    CAPTURE(what, both.counts[what][0], both.counts[what][1]);
    CHECK(both.counts[what][0] >= 8);  // each was tried, and not only refused
  }
  for (const kind what : {operation::remap, operation::unrotate, operation::rotate, operation::crop, operation::slice,
                          operation::gather, operation::concat, operation::scatter, operation::halves,
                          operation::save_and_load, operation::read, operation::look_at_view}) {
    CAPTURE(static_cast<int>(what));
    CHECK(both.counts[what][1] >= 1);  // and refused where the vectors say so
  }
}

TEST_CASE("ten thousand sequences of random operations say what plain vectors say",
          "[model][random_operations][long]") {
  for (std::uint32_t thousand = 1; thousand <= 10; ++thousand) {
    DYNAMIC_SECTION("those from " << thousand << "000 on") {  // -c runs one of them, so that ten can run side by side
      runner().check(thousand * 1'000, 1'000);
    }
  }
}

TEST_CASE("a sequence that fails shrinks to the few operations that it takes", "[model][random_operations]") {
  runner wrong{.fault = planted::gaps_closed_one_further_after_an_edit};
  std::uint32_t found = 0;
  for (std::uint32_t seed = 1; seed < 2'000 && found < 3; ++seed) {
    const std::vector<operation> sequence = random_sequence(seed);
    if (!wrong.run(sequence).empty()) {
      ++found;
      const std::string shown = wrong.explained(sequence);
      CAPTURE(seed, shown);
      CHECK(wrong.log.size() <= 4);  // a cache, what edits it, the closing
      CHECK(wrong.log.front().find("prefill") != std::string::npos);
      CHECK(wrong.log.back().find("close the gaps") != std::string::npos);
      CHECK(shown.find("-> cache") != std::string::npos);
    }
  }
  CHECK(found == 3);
}
