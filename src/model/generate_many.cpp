#include "kvtransfer/model/generate_many.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <list>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/sampling.hpp"
#include "model/batch_sizes.hpp"
#include "model/extend_completion.hpp"
#include "model/host_memory.hpp"
#include "model/injected_memory.hpp"
#include "model/lack_of_memory.hpp"
#include "model/plan_identity.hpp"
#include "model/sequence_batch.hpp"
#include "model/step_kernels.hpp"

namespace kvtransfer {

namespace {

using detail::batch_sizes;
using detail::checked_plan;
using detail::sequence_batch;

/// Texts are read together: new groups begin when this share of the batch's groups is free.
constexpr std::size_t free_share = 4;

/// A sequence that waits or runs.
struct sequence_job {
  std::vector<std::size_t> requests;  // whose result it is
  generation_config settings;
  bool keeps_cache = false;
  bool reads_eos = false;
  completion said = {};
};

/// Sequences that go on from the same plan.
struct job_group {
  job_group(checked_plan plan, detail::plan_identity known_by) : read(std::move(plan)), identity(std::move(known_by)) {}

  checked_plan read;
  detail::plan_identity identity;
  std::deque<sequence_job> waiting;
};

/// Slots that a sequence fills at most behind its plan.
std::int64_t tail_of(const sequence_job& job) { return job.settings.max_new_tokens + (job.reads_eos ? 1 : 0); }

class many_generations {
 public:
  many_generations(const causal_lm& model, const request_source& source, const result_sink& finished,
                   const batching& how)
      : model_(model),
        source_(source),
        finished_(finished),
        how_(how),
        limit_(position_limit(model.config)),
        enough_held_(detail::memory_for_batch(model, how).held),
        replays_(how.replays_steps ? *how.replays_steps : detail::replays_steps_unasked()),
        kernels_(replays_) {
    require<value_error>(how.most_sequences > 0, "generate_many", "most_sequences", "1 or more",
                         fmt::format("{}", how.most_sequences));
  }

  void run() {
    for (fill(); !groups_.empty(); fill()) {
      run_batch();
      detail::return_freed_memory();
    }
  }

 private:
  /// Takes requests until there are enough to choose from, or they hold enough memory.
  void fill() {
    while (waiting_ < 2 * how_.most_sequences && (held_.bytes() < enough_held_ || waiting_ == 0) && !exhausted_) {
      std::optional<generation_request> request = source_();
      if (request) {
        add(std::move(*request));
      } else {
        exhausted_ = true;
      }
    }
  }

  void add(generation_request request) {
    const std::size_t index = requests_++;
    detail::require_valid(request.settings, 1);
    checked_plan read = detail::checked(model_, std::move(request.input));
    detail::plan_identity identity(read.input);
    job_group* group = find(identity, request.settings.max_new_tokens + (request.reads_eos ? 1 : 0));
    if (group == nullptr) {
      group = &groups_.emplace_back(std::move(read), std::move(identity));
      held_.add(group->read.input);
    }
    if (request.settings.temperature == 0) {
      request.settings.seeds = {0};  // nothing is drawn
    }
    const auto same = std::ranges::find_if(group->waiting, [&](const sequence_job& job) {
      return job.settings == request.settings && job.reads_eos == request.reads_eos &&
             job.keeps_cache == request.keeps_cache;
    });
    if (same != group->waiting.end()) {
      same->requests.push_back(index);
      return;
    }
    group->waiting.push_back({{index}, std::move(request.settings), request.keeps_cache, request.reads_eos});
    ++waiting_;
  }

  /// The group of that plan, running or waiting; null if there is none that has room for `tail` slots.
  job_group* find(const detail::plan_identity& identity, std::int64_t tail) {
    for (std::optional<job_group>& group : running_) {
      if (group && group->identity.is_like(identity) && tail <= tail_) {
        return &*group;
      }
    }
    const auto found =
        std::ranges::find_if(groups_, [&](const job_group& group) { return group.identity.is_like(identity); });
    return found == groups_.end() ? nullptr : &*found;
  }

  /// Whether a group can be in a batch of that kind.
  [[nodiscard]] bool fits(const job_group& group, const batch_sizes& sizes) const {
    const bool short_enough =
        std::ranges::all_of(group.waiting, [&](const sequence_job& job) { return tail_of(job) <= sizes.tail; });
    return group.read.layers_alike == sizes.layers_alike && (sizes.heads_differ || !group.read.heads_differ) &&
           (!alone_ || group.waiting.size() == 1) && group.read.slots <= sizes.prefix && short_enough;
  }

  /// The size of the next batch: for groups like the first, as many as there are and memory holds.
  [[nodiscard]] batch_sizes next_sizes() {
    const job_group& first = *std::ranges::min_element(groups_, {}, [](const job_group& group) {
      return std::pair(-static_cast<std::int64_t>(std::min<std::size_t>(group.waiting.size(), 2)), group.read.slots);
    });
    alone_ = first.waiting.size() == 1;
    std::int64_t most_waiting = 1;
    batch_sizes sizes{0, 1, first.read.slots, 0, first.read.layers_alike, first.read.heads_differ};
    const std::int64_t longest = std::max(2 * first.read.slots, first.read.slots + 256);
    for (const job_group& group : groups_) {
      const bool alike = (group.waiting.size() == 1) == alone_ && group.read.layers_alike == sizes.layers_alike &&
                         group.read.heads_differ == sizes.heads_differ;
      if (alike && group.read.slots <= longest) {
        ++sizes.groups;
        most_waiting = std::max(most_waiting, static_cast<std::int64_t>(group.waiting.size()));
        sizes.prefix = std::max(sizes.prefix, group.read.slots);
        for (const sequence_job& job : group.waiting) {
          sizes.tail = std::max(sizes.tail, tail_of(job));
        }
      }
    }
    sizes.groups = std::min(sizes.groups, how_.most_sequences);
    sizes.members = std::min(how_.most_sequences / sizes.groups, most_waiting);
    return detail::held_by(detail::memory_for_batch(model_, how_), model_, sizes, first.read.slots);
  }

  /// A place in the batch where a sequence runs.
  struct place {
    std::optional<sequence_job> job;
    std::int64_t most = 0;  // choices after which the sequence ends
    bool last = false;      // it reads the end-of-text token that ended it
  };

  void run_batch() {
    const batch_sizes sizes = next_sizes();
    sequence_batch batch(model_, sizes, replays_);
    running_ = std::vector<std::optional<job_group>>(static_cast<std::size_t>(sizes.groups));
    tail_ = sizes.tail;
    std::vector<at::Tensor> firsts(running_.size());  // logits behind each group's plan
    std::vector<place> places(static_cast<std::size_t>(sizes.sequences()));
    while (true) {
      begin_groups(batch, sizes, firsts);
      begin_sequences(batch, sizes, firsts, places);
      for (std::size_t g = 0; g < running_.size(); ++g) {
        const auto begin = places.begin() + static_cast<std::ptrdiff_t>(g * static_cast<std::size_t>(sizes.members));
        const bool idle = std::none_of(begin, begin + static_cast<std::ptrdiff_t>(sizes.members),
                                       [](const place& each) { return each.job.has_value(); });
        if (idle) {
          running_[g].reset();
        }
      }
      fill();
      const bool stepped = step(batch, places);
      tell_steps();
      if (!stepped && !any_fits(sizes)) {
        return;
      }
    }
  }

  void tell_steps() {
    if (how_.after_steps) {
      how_.after_steps(std::exchange(chosen_, 0));
    }
  }

  [[nodiscard]] bool any_fits(const batch_sizes& sizes) const {
    return std::ranges::any_of(groups_, [&](const job_group& group) { return fits(group, sizes); });
  }

  /// Has waiting groups read where there is room for them. What they inject is in the batch then, and given up.
  void begin_groups(sequence_batch& batch, const batch_sizes& sizes, std::vector<at::Tensor>& firsts) {
    std::vector<std::int64_t> begun;
    std::vector<const checked_plan*> plans;
    const auto is_free = [](const std::optional<job_group>& group) { return !group; };
    if (static_cast<std::size_t>(std::ranges::count_if(running_, is_free)) * free_share < running_.size()) {
      return;
    }
    for (std::size_t g = 0; g < running_.size(); ++g) {
      const auto next = running_[g]
                            ? groups_.end()
                            : std::ranges::find_if(groups_, [&](const job_group& each) { return fits(each, sizes); });
      if (next != groups_.end()) {
        running_[g] = std::move(*next);
        groups_.erase(next);
        begun.push_back(static_cast<std::int64_t>(g));
      }
    }
    for (const std::int64_t g : begun) {
      plans.push_back(&running_[static_cast<std::size_t>(g)]->read);
    }
    if (!begun.empty()) {
      const at::Tensor logits = batch.read(begun, plans).to(at::kCPU, at::kFloat);
      for (std::size_t i = 0; i < begun.size(); ++i) {
        firsts[static_cast<std::size_t>(begun[i])] = logits[static_cast<std::int64_t>(i)];
        job_group& group = *running_[static_cast<std::size_t>(begun[i])];
        held_.remove(group.read.input);
        group.read = {};
      }
      if (model_.device().is_cpu()) {
        detail::return_freed_memory();
      }
    }
  }

  /// Fills free places with sequences of their groups that wait; one may end at once.
  void begin_sequences(sequence_batch& batch, const batch_sizes& sizes, const std::vector<at::Tensor>& firsts,
                       std::vector<place>& places) {
    std::vector<detail::begun_sequence> begun;
    for (auto taken = taken_places(sizes, places); !taken.empty(); taken = taken_places(sizes, places)) {
      const auto group_of = [&](std::size_t p) { return p / static_cast<std::size_t>(sizes.members); };
      std::vector<token_choice> chosen(taken.size());
      at::parallel_for(0, static_cast<std::int64_t>(taken.size()), 1, [&](std::int64_t first, std::int64_t last) {
        for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i) {
          const generation_config& settings = places[taken[i]].job->settings;
          if (settings.max_new_tokens > 0) {
            chosen[i] = choose_token(firsts[group_of(taken[i])], settings.temperature, settings.seeds.front(), 0);
          }
        }
      });
      for (std::size_t i = 0; i < taken.size(); ++i) {
        place& where = places[taken[i]];
        const auto p = static_cast<std::int64_t>(taken[i]);
        const generation_config& settings = where.job->settings;
        where.most = settings.max_new_tokens;
        if (limit_) {
          where.most = std::min(where.most, *limit_ - batch.next_position(p / sizes.members) + 1);
        }
        chosen_ += settings.max_new_tokens > 0 ? 1 : 0;
        if (settings.max_new_tokens > 0 && take(where, chosen[i])) {
          const completion& said = where.job->said;
          begun.push_back({p, where.last ? *said.eos_token_id : said.token_ids.back(), where.most, where.job->reads_eos,
                           where.last, &settings});
        } else {
          end(batch, taken[i], where);
        }
      }
    }
    batch.begin(begun);
  }

  /// Gives a sequence that waits to each free place of its group. @return those places
  std::vector<std::size_t> taken_places(const batch_sizes& sizes, std::vector<place>& places) {
    std::vector<std::size_t> taken;
    for (std::size_t p = 0; p < places.size(); ++p) {
      std::optional<job_group>& group = running_[p / static_cast<std::size_t>(sizes.members)];
      if (!places[p].job && group && !group->waiting.empty()) {
        places[p] = {};
        places[p].job = std::move(group->waiting.front());
        group->waiting.pop_front();
        --waiting_;
        taken.push_back(p);
      }
    }
    return taken;
  }

  /// Records what a sequence has chosen. @return whether it reads on
  static bool take(place& where, const token_choice& choice) {
    sequence_job& job = *where.job;
    const auto next = detail::extend(job.said, choice, job.settings.eos_token_ids);
    if (!next) {
      where.last = job.reads_eos;
      return where.last;
    }
    const auto choices = static_cast<std::int64_t>(job.said.top2_margins.size());
    if (choices == where.most && choices < job.settings.max_new_tokens) {
      job.said.stop = stop_reason::positions;
    }
    return choices < where.most;
  }

  /// The token ids that a sequence has read behind its plan.
  static std::vector<std::int64_t> read_by(const sequence_job& job) {
    std::vector<std::int64_t> read = job.said.token_ids;
    if (job.said.stop != stop_reason::eos) {
      read.resize(read.empty() ? 0 : read.size() - 1);  // the last one chosen is not read
    } else if (job.reads_eos) {
      read.push_back(*job.said.eos_token_id);
    }
    return read;
  }

  /// Hands out what a sequence has become.
  void end(const sequence_batch& batch, std::size_t index, place& where) {
    sequence_job job = std::move(*where.job);
    where = {};
    std::optional<cache> left;
    if (job.keeps_cache) {
      left = batch.left_by(static_cast<std::int64_t>(index), read_by(job));
    }
    for (std::size_t i = 0; i + 1 < job.requests.size(); ++i) {
      finished_(job.requests[i], {job.said, left ? std::optional(left->clone()) : std::nullopt});
    }
    finished_(job.requests.back(), {job.said, std::move(left)});
  }

  /// A few steps of all sequences that run. @return false if there is none
  bool step(sequence_batch& batch, std::vector<place>& places) {
    std::vector<std::int64_t> going;
    std::int64_t turns = 1;
    for (std::size_t p = 0; p < places.size(); ++p) {
      if (const place& where = places[p]; where.job) {
        going.push_back(static_cast<std::int64_t>(p));
        const auto choices = static_cast<std::int64_t>(where.job->said.top2_margins.size());
        turns = std::max(turns, where.last ? 1 : where.most - choices);
      }
    }
    if (going.empty()) {
      return false;
    }
    for (const auto& chosen : batch.run(going, std::min(turns, batch.most_turns()))) {
      for (const std::int64_t sequence : going) {
        const auto p = static_cast<std::size_t>(sequence);
        if (!places[p].job) {
          continue;  // it has ended in a step before
        }
        chosen_ += places[p].last ? 0 : 1;
        if (places[p].last || !take(places[p], *chosen[p])) {
          end(batch, p, places[p]);
        }
      }
    }
    return true;
  }

  const causal_lm& model_;
  const request_source& source_;
  const result_sink& finished_;
  batching how_;
  std::optional<std::int64_t> limit_;
  std::int64_t enough_held_;                       // bytes of injected caches beyond which no more are asked for
  detail::injected_memory held_;                   // by the plans of waiting groups
  bool replays_;                                   // whether a GPU's steps are made of our kernels and replayed
  detail::gpu_kernels_wanted kernels_;             // while this lives
  std::list<job_group> groups_;                    // that wait
  std::vector<std::optional<job_group>> running_;  // those of the batch
  bool alone_ = false;                             // whether each of its groups has one sequence
  std::int64_t tail_ = 0;                          // slots that its sequences have for what they read
  std::int64_t waiting_ = 0;                       // sequences that have not begun
  std::size_t requests_ = 0;
  std::int64_t chosen_ = 0;  // tokens since `after_steps` heard of them
  bool exhausted_ = false;
};

}  // namespace

void generate_many(const causal_lm& model, const request_source& source, const result_sink& finished,
                   const batching& how) {
  detail::naming_lack_of_memory("generate_many", model.device(),
                                [&] { many_generations(model, source, finished, how).run(); });
}

std::vector<generation_result> generate_many(const causal_lm& model, std::vector<generation_request> requests,
                                             const batching& how) {
  std::vector<generation_result> results(requests.size());
  std::size_t next = 0;
  generate_many(
      model,
      [&]() -> std::optional<generation_request> {
        return next < requests.size() ? std::optional(std::move(requests[next++])) : std::nullopt;
      },
      [&](std::size_t index, generation_result result) { results[index] = std::move(result); }, how);
  return results;
}

}  // namespace kvtransfer
