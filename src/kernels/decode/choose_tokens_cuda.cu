#include <c10/cuda/CUDAGuard.h>

#include "kernels/cuda_layers.cuh"
#include "kernels/decode/choose_tokens.hpp"
#include "kernels/decode/sequence_state.hpp"
#include "kernels/elements_cuda.cuh"
#include "kernels/overlapping_launch_cuda.cuh"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

// A block a sequence. Each thread looks at a run of neighbours, so that sums run through the vocabulary in order.

namespace kvtransfer::kernels {
namespace {

constexpr int choose_threads = 1024;
constexpr int choose_warps = choose_threads / lanes;

/// The best score, where it is first, and the second best.
struct best_two {
  float best;
  float second;
  std::int64_t at;
  bool numbers;  // no score is NaN
};

__device__ best_two better(const best_two& a, const best_two& b) {
  const bool first = a.best > b.best || (a.best == b.best && a.at < b.at);
  const best_two& wins = first ? a : b;
  const best_two& loses = first ? b : a;
  return {wins.best, fmaxf(fmaxf(wins.second, loses.second), loses.best), wins.at, a.numbers && b.numbers};
}

__device__ best_two from_lane(const best_two& of, int apart) {
  return {__shfl_xor_sync(0xffffffffU, of.best, apart), __shfl_xor_sync(0xffffffffU, of.second, apart),
          __shfl_xor_sync(0xffffffffU, of.at, apart),
          __shfl_xor_sync(0xffffffffU, static_cast<int>(of.numbers), apart) != 0};
}

/// What threads of a block tell one another.
struct choose_shared {
  best_two best[choose_warps];
  double sums[choose_warps];
  std::int64_t drawn;
  double distance;
};

/// Takes a score that stands behind all that were taken before.
__device__ void take(best_two& all, float score, std::int64_t at) {
  all.numbers = all.numbers && !isnan(score);
  if (score > all.best) {
    all.second = all.best;
    all.best = score;
    all.at = at;
  } else {
    all.second = fmaxf(all.second, score);
  }
}

template <class Element>
__device__ best_two best_of(const Element* scores, std::int64_t count, choose_shared& shared) {
  best_two mine{-INFINITY, -INFINITY, count, true};
  const bool in_words = reinterpret_cast<std::uintptr_t>(scores) % 16 == 0;
  const std::int64_t whole = in_words ? count / 8 * 8 : 0;
  for (std::int64_t first = threadIdx.x * 8; first < whole; first += choose_threads * 8) {
    float eight[8];
    read_eight(scores + first, eight);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      take(mine, eight[i], first + i);
    }
  }
  for (std::int64_t i = whole + threadIdx.x; i < count; i += choose_threads) {
    take(mine, widened(scores[i]), i);
  }
  for (int apart = lanes / 2; apart > 0; apart /= 2) {
    mine = better(mine, from_lane(mine, apart));
  }
  if (threadIdx.x % lanes == 0) {
    shared.best[threadIdx.x / lanes] = mine;
  }
  __syncthreads();
  best_two all = shared.best[0];
  for (int warp = 1; warp < choose_warps; ++warp) {
    all = better(all, shared.best[warp]);
  }
  return all;
}

/// Sums over the threads before this one and up to it, and over all. One thread's end is the next one's beginning.
struct running_sums {
  double begin;
  double end;
  double total;
};

__device__ running_sums sums_up_to(double value, choose_shared& shared) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const int own_warp = static_cast<int>(threadIdx.x) / lanes;
  double up_to = value;
  for (int apart = 1; apart < lanes; apart *= 2) {
    const double before = __shfl_up_sync(0xffffffffU, up_to, apart);
    up_to += lane >= apart ? before : 0.0;
  }
  if (lane == lanes - 1) {
    shared.sums[own_warp] = up_to;
  }
  __syncthreads();
  double before_warp = 0;
  double total = 0;
  for (int warp = 0; warp < choose_warps; ++warp) {
    before_warp += warp < own_warp ? shared.sums[warp] : 0.0;
    total += shared.sums[warp];
  }
  const double before = __shfl_up_sync(0xffffffffU, up_to, 1);
  return {before_warp + (lane == 0 ? 0.0 : before), before_warp + up_to, total};
}

/// Where the sum of e^((score - best) / temperature) passes `uniform` of all of it; into `shared`.
template <class Element>
__device__ void draw(const Element* scores, std::int64_t count, float best, double temperature, double uniform,
                     choose_shared& shared) {
  const std::int64_t run = (count + choose_threads - 1) / choose_threads;
  const std::int64_t begin = min(threadIdx.x * run, count);
  const std::int64_t end = min(begin + run, count);
  const auto share = [&](std::int64_t i) {
    return exp((static_cast<double>(widened(scores[i])) - static_cast<double>(best)) / temperature);
  };
  double mine = 0;
  for (std::int64_t i = begin; i < end; ++i) {
    mine += share(i);
  }
  if (threadIdx.x == 0) {
    shared.drawn = -1;
  }
  const running_sums sums = sums_up_to(mine, shared);
  const double passed = uniform * sums.total;
  if (sums.begin <= passed && passed < sums.end) {
    double reached = sums.begin;
    std::int64_t token = begin;
    double next = reached + share(token);
    while (next <= passed && token + 1 < end) {
      ++token;
      reached = next;
      next += share(token);
    }
    shared.drawn = token;
    shared.distance = fmax(fmin(passed - reached, next - passed) / sums.total, 0.0);
  }
  __syncthreads();
  if (threadIdx.x == 0 && shared.drawn < 0) {  // rounded up to all of it
    shared.drawn = count - 1;
    shared.distance = 0;
  }
  __syncthreads();
}

struct choice_places {
  const std::int64_t* sequences;
  std::int64_t* state;
  std::int64_t state_columns;
  const double* draws;
  std::int64_t draw_columns;
  double* record;
  std::int64_t turns;
  std::int64_t sequence_count;
  const std::int64_t* turn;
};

template <class Element>
__global__ void __launch_bounds__(choose_threads)
    choose(const Element* logits, std::int64_t vocabulary, choice_places places) {
  let_next_begin();
  wait_for_inputs();
  __shared__ choose_shared shared;
  const std::int64_t sequence = places.sequences[blockIdx.x];
  std::int64_t* const state = places.state + sequence * places.state_columns;
  const double* const draws = places.draws + sequence * places.draw_columns;
  const Element* const scores = logits + blockIdx.x * vocabulary;
  const bool chooses = state[sequence_column::phase] == sequence_phase::going;
  const std::int64_t choice = state[sequence_column::choices];
  const double temperature = draws[0];
  best_two best{0, 0, 0, true};
  double distance = -1;
  std::int64_t token = 0;
  if (chooses) {
    best = best_of(scores, vocabulary, shared);
    // Where no score is a number, which the host refuses, steps need a token that exists until then.
    token = best.numbers && best.at < vocabulary ? best.at : 0;
    if (temperature > 0 && best.numbers) {
      draw(scores, vocabulary, best.best, temperature, draws[1 + choice], shared);
      token = shared.drawn;
      distance = shared.distance;
    }
  }
  __syncthreads();  // all have read the state
  if (threadIdx.x == 0) {
    double* const record =
        places.record + (*places.turn % places.turns * places.sequence_count + sequence) * record_column::count;
    record[record_column::token] =
        static_cast<double>(advance(state, places.state_columns - sequence_column::eos, token));
    record[record_column::margin] =
        best.numbers ? static_cast<double>(vocabulary > 1 ? best.best - best.second : 0.0F) : NAN;
    record[record_column::distance] = distance;
  }
}

}  // namespace

void choose_tokens_on_cuda(const at::Tensor& logits, const at::Tensor& sequences, const at::Tensor& state,
                           const at::Tensor& draws, const at::Tensor& record, const at::Tensor& turn) {
  constexpr const char* where = "choose_tokens_";
  const c10::cuda::CUDAGuard guard(logits.device());
  require<shape_error>(logits.dim() == 2 && logits.is_contiguous() && logits.size(1) > 0, where, "logits",
                       "[rows, vocab_size], contiguous", [&] { return describe(logits); });
  const auto require_places = [&](const at::Tensor& places, const char* what, at::ScalarType dtype, bool fits) {
    require<shape_error>(
        fits && places.scalar_type() == dtype && places.is_contiguous() && places.device() == logits.device(), where,
        what, "as described, beside logits", [&] { return describe(places); });
  };
  require_places(sequences, "sequences", at::kLong, sequences.dim() == 1 && sequences.size(0) == logits.size(0));
  require_places(state, "state", at::kLong, state.dim() == 2 && state.size(1) >= sequence_column::eos);
  require_places(draws, "draws", at::kDouble, draws.dim() == 2 && draws.size(0) == state.size(0) && draws.size(1) > 1);
  require_places(record, "record", at::kDouble,
                 record.dim() == 3 && record.size(0) > 0 && record.size(1) == state.size(0) &&
                     record.size(2) == record_column::count);
  require_places(turn, "turn", at::kLong, turn.numel() == 1);
  if (logits.size(0) == 0) {
    return;
  }
  const choice_places places{sequences.const_data_ptr<std::int64_t>(),
                             state.mutable_data_ptr<std::int64_t>(),
                             state.size(1),
                             draws.const_data_ptr<double>(),
                             draws.size(1),
                             record.mutable_data_ptr<double>(),
                             record.size(0),
                             state.size(0),
                             turn.const_data_ptr<std::int64_t>()};
  with_cuda_element(logits.scalar_type(), where, [&]<class Element>(Element) {
    launch_overlapping(choose<Element>, grid_axis(logits.size(0), where, "logits", "rows"), choose_threads, 0,
                       elements_of<Element>(logits), logits.size(1), places);
  });
}

}  // namespace kvtransfer::kernels
