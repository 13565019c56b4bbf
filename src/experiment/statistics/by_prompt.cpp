#include "kvtransfer/experiment/statistics/by_prompt.hpp"

#include <fmt/format.h>

#include <cmath>
#include <unordered_map>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::statistics {

namespace {

struct prompt_means {
  std::vector<std::string> prompts;
  std::vector<double> means;
  std::unordered_map<std::string, std::size_t> index_of;
};

prompt_means average_seeds(const char* name, std::span<const observation> observations) {
  require<shape_error>(!observations.empty(), "pair_by_prompt", name, "1 or more observations", "0");
  prompt_means averaged;
  std::vector<double> seeds;
  for (const observation& seen : observations) {
    if (!std::isfinite(seen.value)) {
      fail<value_error>("pair_by_prompt", fmt::format("{}: prompt '{}'", name, seen.prompt), "a finite number",
                        fmt::format("{}", seen.value));
    }
    const auto [found, is_new] = averaged.index_of.try_emplace(seen.prompt, averaged.prompts.size());
    if (is_new) {
      averaged.prompts.push_back(seen.prompt);
      averaged.means.push_back(0);
      seeds.push_back(0);
    }
    averaged.means[found->second] += seen.value;
    ++seeds[found->second];
  }
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    averaged.means[i] /= seeds[i];
  }
  return averaged;
}

void require_same_prompts(const char* name, const prompt_means& here, const prompt_means& there) {
  for (const std::string& prompt : here.prompts) {
    if (!there.index_of.contains(prompt)) {
      fail<value_error>("pair_by_prompt", name, fmt::format("prompt '{}', as the other has it", prompt), "none");
    }
  }
}

}  // namespace

paired_values pair_by_prompt(std::span<const observation> a, std::span<const observation> b) {
  prompt_means of_a = average_seeds("a", a);
  const prompt_means of_b = average_seeds("b", b);
  require_same_prompts("b", of_a, of_b);
  require_same_prompts("a", of_b, of_a);
  paired_values paired{std::move(of_a.prompts), std::move(of_a.means), {}};
  for (const std::string& prompt : paired.prompts) {
    paired.b.push_back(of_b.means[of_b.index_of.at(prompt)]);
  }
  return paired;
}

std::vector<std::int64_t> number_clusters(std::span<const std::string> prompts,
                                          const std::map<std::string, std::string>& template_of) {
  std::unordered_map<std::string, std::int64_t> number_of;
  std::vector<std::int64_t> clusters;
  for (const std::string& prompt : prompts) {
    const auto found = template_of.find(prompt);
    if (found == template_of.end()) {
      fail<value_error>("number_clusters", fmt::format("prompt '{}'", prompt), "a known template", "none");
    }
    clusters.push_back(number_of.try_emplace(found->second, static_cast<std::int64_t>(number_of.size())).first->second);
  }
  return clusters;
}

}  // namespace kvtransfer::statistics
