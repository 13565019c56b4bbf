// Reads fixtures/expected.txt, which make_fixtures.py wrote: a line is a name and `key=number,number…`.

#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace kvtransfer::test {

class expected_line {
 public:
  explicit expected_line(std::istringstream words) {
    std::string word;
    while (words >> word) {
      const std::size_t equals = word.find('=');
      std::istringstream numbers(word.substr(equals + 1));
      std::string number;
      while (std::getline(numbers, number, ',')) {
        fields_[word.substr(0, equals)].push_back(std::stod(number));
      }
    }
  }

  [[nodiscard]] bool has(const std::string& key) const { return fields_.contains(key); }
  [[nodiscard]] const std::vector<double>& numbers(const std::string& key) const { return fields_.at(key); }
  [[nodiscard]] double number(const std::string& key) const { return numbers(key).at(0); }
  [[nodiscard]] std::vector<std::int64_t> integers(const std::string& key) const {
    std::vector<std::int64_t> whole;
    for (const double value : numbers(key)) {
      whole.push_back(static_cast<std::int64_t>(value));
    }
    return whole;
  }

 private:
  std::map<std::string, std::vector<double>> fields_;
};

/// The lines of that name; a fixture without any is a mistake.
inline std::vector<expected_line> expected_lines(const std::string& name) {
  std::ifstream file(KVT_SOURCE_DIR "/tests/experiment/statistics/fixtures/expected.txt");
  std::vector<expected_line> lines;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string first;
    words >> first;
    if (first == name) {
      lines.emplace_back(std::move(words));
    }
  }
  if (lines.empty()) {
    throw std::runtime_error("expected.txt has no line '" + name + "'");
  }
  return lines;
}

}  // namespace kvtransfer::test
