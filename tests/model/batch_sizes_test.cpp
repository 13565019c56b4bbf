#include "model/batch_sizes.hpp"

#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/session.hpp"
#include "model/injected_memory.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;
using detail::batch_memory;
using detail::injected_memory;
using detail::memory_for_batch;

TEST_CASE("beside a CPU's batch little is held", "[model][batch_sizes]") {
  const causal_lm model = small_model();
  const batch_memory memory = memory_for_batch(model, {});
  CHECK(memory.enough <= 256'000'000);
  CHECK(memory.enough <= memory.most);
  CHECK(memory.held > 0);
  CHECK(memory.held + memory.kept + memory.scored <= memory.enough);
  const batch_memory given = memory_for_batch(model, {.most_bytes = 1000});
  CHECK(given.most == 1000);
  CHECK(given.enough == 1000);
  CHECK(given.held + given.kept + given.scored <= 1000);
}

TEST_CASE("what plans share is counted once", "[model][batch_sizes]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(5)});
  const cache other = prefill(model, {some_tokens(7, 1)});
  const plan first = prepend(source.view(), {some_tokens(3)});
  const plan second = prepend(source.view(), {some_tokens(2)});
  const plan third = prepend(other.view(), {some_tokens(2)});
  const std::int64_t five = detail::bytes_of_slots(model.config, 5, at::kFloat);
  const std::int64_t seven = detail::bytes_of_slots(model.config, 7, at::kFloat);
  injected_memory held;
  held.add(first);
  held.add(second);
  CHECK(held.bytes() == five);
  held.add(third);
  held.add(plan_of({some_tokens(4)}));
  CHECK(held.bytes() == five + seven);
  held.remove(first);
  CHECK(held.bytes() == five + seven);
  held.remove(second);
  CHECK(held.bytes() == seven);
  held.remove(third);
  CHECK(held.bytes() == 0);
}
