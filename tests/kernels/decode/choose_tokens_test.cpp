// What a batch chooses, step after step, against choices made one by one on the host.

#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/sampling.hpp"
#include "kvtransfer/tensor/upload.hpp"
#include "model/decode_state.hpp"
#include "model/step_kernels.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// A sequence as the host goes through it, choice by choice.
struct followed {
  std::int64_t token = 0;
  std::int64_t length = 0;
  std::int64_t choices = 1;
  bool going = true;
  bool last = false;
};

void check_choices(at::Device device, at::ScalarType dtype, std::int64_t vocabulary) {
  at::manual_seed(21);
  constexpr std::int64_t sequences = 7;
  constexpr std::int64_t turns = 3;
  constexpr std::int64_t most = 9;
  std::vector<generation_config> settings;
  for (std::int64_t s = 0; s < sequences; ++s) {
    settings.push_back({.max_new_tokens = most,
                        .temperature = s % 3 == 0 ? 0.0 : 0.5 * static_cast<double>(s),
                        .seeds = {static_cast<std::uint64_t>(s)},
                        .eos_token_ids = std::vector<std::int64_t>(static_cast<std::size_t>(s), s % vocabulary)});
  }
  detail::decode_state state(sequences, most, turns, device);
  std::vector<detail::begun_sequence> begun;
  std::vector<followed> expected(sequences);
  for (std::int64_t s = 0; s + 1 < sequences; ++s) {  // the last one never begins
    begun.push_back({s, 50 + s, most - s, s % 2 == 0, s == 2, &settings[static_cast<std::size_t>(s)]});
    expected[static_cast<std::size_t>(s)] = {.token = 50 + s, .last = s == 2};
  }
  expected.back().going = false;
  state.begin(begun);
  const std::vector<std::int64_t> rows{6, 0, 2, 1, 5, 4, 3};
  const at::Tensor whose = uploaded(rows, at::kLong, device);
  for (std::int64_t round = 0; round < 4; ++round) {
    std::vector<std::vector<std::optional<token_choice>>> wanted(turns,
                                                                 std::vector<std::optional<token_choice>>(sequences));
    for (std::int64_t turn = 0; turn < turns; ++turn) {
      const at::Tensor logits = at::randn({sequences, vocabulary}).mul_(3).to(dtype);
      const at::Tensor scores = logits.to(at::kFloat);
      for (std::size_t row = 0; row < rows.size(); ++row) {
        const auto s = static_cast<std::size_t>(rows[row]);
        followed& each = expected[s];
        if (!each.going) {
          continue;
        }
        ++each.length;
        if (each.last) {
          each.going = false;
          continue;
        }
        const token_choice choice = choose_token(scores[static_cast<std::int64_t>(row)], settings[s].temperature,
                                                 settings[s].seeds.front(), static_cast<std::uint64_t>(each.choices));
        wanted[static_cast<std::size_t>(turn)][s] = choice;
        ++each.choices;
        each.token = choice.token_id;
        if (!settings[s].eos_token_ids.empty() && choice.token_id == settings[s].eos_token_ids.front()) {
          each.last = begun[s].reads_eos;
          each.going = each.last;
        } else if (each.choices == begun[s].most) {
          each.going = false;
        }
      }
      state.choose(logits.to(device), whose);
      state.count_turn();
    }
    const auto chosen = state.choices(turns);
    const at::Tensor tokens = state.tokens().cpu();
    const at::Tensor lengths = state.lengths().cpu();
    for (std::int64_t turn = 0; turn < turns; ++turn) {
      for (std::size_t s = 0; s < expected.size(); ++s) {
        CAPTURE(round, turn, s, at::toString(dtype), vocabulary);
        const auto& got = chosen[static_cast<std::size_t>(turn)][s];
        const auto& want = wanted[static_cast<std::size_t>(turn)][s];
        REQUIRE(got.has_value() == want.has_value());
        if (want && want->boundary_distance > 1e-9) {
          CHECK(got->boundary_distance == Approx(want->boundary_distance).margin(1e-12));
        }
        if (want && (want->boundary_distance < 0 || want->boundary_distance > 1e-9)) {
          CHECK(got->token_id == want->token_id);
          CHECK(got->top2_margin == want->top2_margin);
        }
      }
    }
    for (std::size_t s = 0; s + 1 < expected.size(); ++s) {
      CHECK(tokens[static_cast<std::int64_t>(s)].item<std::int64_t>() == expected[s].token);
      CHECK(lengths[static_cast<std::int64_t>(s)].item<std::int64_t>() == expected[s].length);
    }
  }
}

}  // namespace

TEST_CASE("a batch chooses what each sequence chooses alone", "[kernels][decode]") {
  for (const std::int64_t vocabulary : {1, 97, 5000}) {
    check_choices(at::kCPU, at::kFloat, vocabulary);
  }
}

TEST_CASE("a batch chooses what each sequence chooses alone, on a GPU", "[kernels][decode][cuda]") {
  if (cuda_available()) {
    const detail::gpu_kernels_wanted kernels(true);
    for (const std::int64_t vocabulary : {1, 97, 5000, 152064}) {
      for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
        check_choices(at::kCUDA, dtype, vocabulary);
      }
    }
  }
}

TEST_CASE("scores that are not numbers are refused on a GPU too", "[kernels][decode][cuda]") {
  if (cuda_available()) {
    const detail::gpu_kernels_wanted kernels(true);
    detail::decode_state state(1, 4, 1, at::kCUDA);
    const generation_config settings{.max_new_tokens = 4};
    state.begin({{0, 0, 4, false, false, &settings}});
    state.choose(at::full({1, 40}, std::nan("")).to(at::kCUDA), at::zeros({1}, at::kLong).to(at::kCUDA));
    state.count_turn();
    CHECK_THROWS_AS(state.choices(1), value_error);
  }
}
