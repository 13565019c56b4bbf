#include "experiment/report/headings.hpp"

#include "experiment/report/html.hpp"
#include "experiment/report/markdown.hpp"
#include "experiment/sample_results.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("headings say how, on what and in which precision", "[experiment][report]") {
  results run = sample_results();
  CHECK(decoding_text(run.settings) == "greedy, 1 trial, seed 0, up to 40 new tokens");
  run.settings.temperature = 0.8;
  run.settings.trials = 5;
  CHECK(decoding_text(run.settings) == "temperature 0.8, 5 trials, seed 0, up to 40 new tokens");
  CHECK(machine_text(run.program) == "cpu, float32");
  CHECK(rope_text(run.model) == "rope_type default, rope_theta 10000.0");
  CHECK(precision_note(run.program) == "Equality of tokens is claimed in float32, as here.");
  run.program.dtype = "bfloat16";
  run.program.quantization = "nf4";
  CHECK(machine_text(run.program) == "cpu, bfloat16, nf4");
  CHECK(precision_note(run.program).find("top-2 margin") != std::string::npos);
}

TEST_CASE("the report says which caches were taken for the model's on somebody's word", "[experiment][report]") {
  results run = sample_results();
  CHECK(origin_note(run).empty());
  CHECK(report_markdown(run, summarize(run)).find("the caller said so") == std::string::npos);
  condition_record& asked = run.tests.back().conditions.back();
  asked.trials.back().origin = origin_basis::unknown_origin;
  const std::string note = asked.id +
                           " read caches that do not say which model wrote them: they were taken for this model's "
                           "because the caller said so (unknown_origin).";
  CHECK(origin_note(run) == note);
  CHECK(report_markdown(run, summarize(run)).find("the caller said so (unknown_origin)") != std::string::npos);
  CHECK(report_html(run, summarize(run)).find("the caller said so (unknown_origin)") != std::string::npos);
  asked.trials.back().origin = origin_basis::same_weights;
  CHECK(origin_note(run).find(asked.id + " read caches that a model with another digest wrote") == 0);
}
