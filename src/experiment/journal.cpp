#include "kvtransfer/experiment/journal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "experiment/line_file.hpp"
#include "experiment/record_line.hpp"
#include "experiment/records_json.hpp"
#include "experiment/trial_json.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/core/json_reader.hpp"
#include "kvtransfer/core/mapped_file.hpp"
#include "kvtransfer/experiment/comparison.hpp"

namespace kvtransfer {

namespace {

/// @throws file_error unless the run kept its trials in the form that this version has
void require_known_schema(const nlohmann::json& theirs, const std::filesystem::path& path) {
  const auto version = theirs.is_object() ? theirs.value("schema_version", nlohmann::json()) : nlohmann::json();
  if (version != detail::results_schema_version) {
    fail<file_error>(path.string(), "schema_version", fmt::format("{}, to be resumed", detail::results_schema_version),
                     excerpt(version));
  }
}

/// Which of equal GPUs a trial ran on makes no difference. @param device "cuda:1"
nlohmann::json kind_of_device(const nlohmann::json& device) {
  return device.is_string() ? nlohmann::json(device.get<std::string>().substr(0, device.get<std::string>().find(':')))
                            : device;
}

/// @throws value_error that names the first of our columns in which a line differs
void require_same_run(nlohmann::json ours, const nlohmann::json& line, const std::filesystem::path& path) {
  nlohmann::json theirs = nlohmann::json::object();
  for (const auto& column : ours.items()) {
    theirs[column.key()] = line.value(column.key(), nlohmann::json());
  }
  ours["device"] = kind_of_device(ours["device"]);
  theirs["device"] = kind_of_device(theirs["device"]);
  if (ours == theirs) {
    return;
  }
  const nlohmann::json::json_pointer place(nlohmann::json::diff(theirs, ours).front().at("path").get<std::string>());
  const auto shown = [&](const nlohmann::json& document) {
    return document.contains(place) ? excerpt(document.at(place)) : std::string("nothing");
  };
  std::string field = place.to_string().substr(place.empty() ? 0 : 1);
  std::replace(field.begin(), field.end(), '/', '.');
  fail<value_error>("resume", field, fmt::format("{}, as in {}", shown(theirs), path.string()), shown(ours));
}

/// Takes a whole line of a journal, as text and read.
using line_taker = std::function<void(std::string_view text, const json_reader& line)>;

/// Reads the whole lines of a journal. @param ours the columns that all lines of our run have
/// @return the length of these lines in bytes: one cut short is left out
std::size_t read_lines(const std::filesystem::path& path, const nlohmann::json& ours, const line_taker& take) {
  const std::shared_ptr<const mapped_file> file = mapped_file::open(path);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'), number = 1; end != text.npos; end = text.find('\n', begin), ++number) {
    const std::string where = fmt::format("{} line {}", path.string(), number);
    const std::string_view line = text.substr(begin, end - begin);
    const nlohmann::json content = parse_json(line, where);
    require_known_schema(content, path);
    detail::require_sealed(line, where);
    require_same_run(ours, content, path);
    take(line, json_reader(content, where));
    begin = end + 1;
  }
  return begin;
}

}  // namespace

namespace detail {

/// What makes a trial the one that it is, wherever it stands in a run.
struct content_key {
  std::string test_digest;
  std::string condition;
  std::string inputs_digest;
  std::uint64_t seed = 0;

  friend auto operator<=>(const content_key&, const content_key&) = default;
};

/// A test of a run, and what a line says of it.
struct known_test {
  test_case test;
  nlohmann::ordered_json columns;
};

/// A line of another journal, as it stands there and what it says beside its trial.
struct kept_line {
  std::string text;
  content_key content;
  trial_key place;
  nlohmann::ordered_json origin;  ///< its `origin_columns`
  bool is_compared = false;       ///< says where its trial first differs from its reference
};

}  // namespace detail

struct journal::state {
  explicit state(const results& run)
      : run_columns(detail::run_columns(run)), origin_columns(detail::origin_columns(run)), seed(run.settings.seed) {
    for (const test_record& each : run.tests) {
      tests[each.test.name] = {each.test, detail::test_columns(each.test)};
    }
    for (const condition_description& each : run.conditions) {
      conditions[each.id] = each;
    }
  }

  nlohmann::ordered_json run_columns;
  nlohmann::ordered_json origin_columns;
  std::uint64_t seed;
  std::map<std::string, detail::known_test> tests;
  std::map<std::string, condition_description> conditions;
  std::map<detail::content_key, trial_record> trials;

  /// Nothing for a test that the run does not have.
  [[nodiscard]] std::optional<detail::content_key> content_of(const trial_key& key) const {
    const auto test = tests.find(key.test);
    if (test == tests.end()) {
      return std::nullopt;
    }
    return detail::content_key{test->second.columns.at("test_digest"), key.condition, key.inputs,
                               seed + static_cast<std::uint64_t>(key.trial)};
  }

  [[nodiscard]] const trial_record* find(const trial_key& key) const {
    const auto content = content_of(key);
    const auto found = content ? trials.find(*content) : trials.end();
    return found == trials.end() ? nullptr : &found->second;
  }

  /// Takes over the trial of a line. @return its key, and whether it was not there yet
  std::pair<detail::content_key, bool> take(const json_reader& line) {
    trial_record trial = detail::read_trial(line);
    const detail::record_place place = detail::read_place(line);
    detail::content_key key{place.test_digest, place.key.condition, place.key.inputs, trial.seed};
    const bool is_new = trials.insert_or_assign(key, std::move(trial)).second;
    return {std::move(key), is_new};
  }

  /// @param content of the line's trial
  [[nodiscard]] detail::kept_line kept(std::string_view text, const json_reader& line,
                                       const detail::content_key& content) const {
    detail::kept_line kept{std::string(text), content, detail::read_place(line).key, nlohmann::ordered_json::object(),
                           line.value().contains("first_divergence")};
    for (const auto& column : origin_columns.items()) {
      kept.origin[column.key()] = line.value().value(column.key(), nlohmann::json());
    }
    return kept;
  }

  /// The trial of that condition beside another, whatever it depends on; null unless there is one, and one only.
  [[nodiscard]] const trial_record* find_reference(const detail::content_key& key, const std::string& condition) const {
    const trial_record* found = nullptr;
    for (auto each = trials.lower_bound({key.test_digest, condition, {}, 0});
         each != trials.end() && each->first.test_digest == key.test_digest && each->first.condition == condition;
         ++each) {
      if (each->first.seed == key.seed) {
        if (found != nullptr) {
          return nullptr;
        }
        found = &each->second;
      }
    }
    return found;
  }

  /// What our run knows of a line that says nothing yet of a difference from a reference: the reference's trial; null
  /// where there is none.
  [[nodiscard]] const trial_record* reference_missing_in(const detail::kept_line& line) const {
    const auto condition = conditions.find(line.content.condition);
    const auto test = tests.find(line.place.test);
    const bool is_ours = condition != conditions.end() && test != tests.end() &&
                         test->second.columns.at("test_digest") == line.content.test_digest;
    return is_ours && !line.is_compared && condition->second.reference
               ? find_reference(line.content, *condition->second.reference)
               : nullptr;
  }

  /// A line's text; with where its trial first differs from its reference, if that is known here for the first time.
  [[nodiscard]] std::string completed(const detail::kept_line& kept) const {
    const trial_record* reference = reference_missing_in(kept);
    return reference == nullptr
               ? kept.text
               : detail::sealed_text(line(kept.place, trials.at(kept.content), reference, kept.origin));
  }

  /// The line of a trial. Where it first differs from its reference stands there if there is one.
  /// @param origin its `origin_columns`
  [[nodiscard]] nlohmann::ordered_json line(const trial_key& key, const trial_record& trial,
                                            const trial_record* reference, const nlohmann::ordered_json& origin) const {
    const detail::known_test& test = tests.at(key.test);
    const condition_description& condition = conditions.at(key.condition);
    nlohmann::ordered_json line = nlohmann::ordered_json::object();
    line["schema_version"] = detail::results_schema_version;
    line["suite"] = origin.at("suite");
    detail::append_columns(line, test.columns);
    detail::append_columns(line, detail::condition_columns(condition));
    detail::append_columns(line, detail::trial_columns(key, trial.seed));
    detail::append_columns(line, detail::outcome_columns(test.test, trial));
    if (reference != nullptr) {
      line["first_divergence"] = detail::divergence_column(difference_from(trial, *reference, key.trial));
    }
    detail::append_columns(line, detail::full_json(trial));
    detail::append_columns(line, run_columns);
    detail::append_columns(line, origin);
    return line;
  }
};

journal::journal(std::filesystem::path path, const results& run, bool resume)
    : path_(std::move(path)), file_(std::make_unique<detail::line_file>(path_)), state_(std::make_unique<state>(run)) {
  const std::size_t kept = resume ? read_lines(path_, state_->run_columns,
                                               [&](std::string_view, const json_reader& line) { state_->take(line); })
                                  : 0;
  file_->cut_to(kept);
}

journal::~journal() = default;

std::size_t journal::size() const { return state_->trials.size(); }

const trial_record* journal::find(const trial_key& key) const { return state_->find(key); }

void journal::append(const trial_key& key, trial_record trial, const trial_record* reference) {
  const auto content = state_->content_of(key);
  require<value_error>(content && state_->conditions.contains(key.condition), path_.string(), "trial",
                       "a test and a condition of the run", formatted("{} under {}", key.test, key.condition));
  file_->append(detail::sealed_text(state_->line(key, trial, reference, state_->origin_columns)) + '\n');
  state_->trials.insert_or_assign(*content, std::move(trial));
}

std::optional<trial_record> journal::take(const trial_key& key) {
  const auto content = state_->content_of(key);
  const auto found = content ? state_->trials.find(*content) : state_->trials.end();
  if (found == state_->trials.end()) {
    return std::nullopt;
  }
  return std::move(state_->trials.extract(found).mapped());
}

void journal::know(const std::filesystem::path& other) {
  read_lines(other, state_->run_columns, [&](std::string_view, const json_reader& line) { state_->take(line); });
}

void journal::absorb(const std::vector<std::filesystem::path>& others) {
  std::vector<detail::kept_line> taken;
  for (const std::filesystem::path& other : others) {
    read_lines(other, state_->run_columns, [&](std::string_view text, const json_reader& line) {
      if (const auto [key, is_new] = state_->take(line); is_new) {
        taken.push_back(state_->kept(text, line, key));
      }
    });
  }
  std::string lines;
  for (const detail::kept_line& each : taken) {
    lines += state_->completed(each) + '\n';
  }
  file_->append(lines);
  file_->sync();
}

}  // namespace kvtransfer
