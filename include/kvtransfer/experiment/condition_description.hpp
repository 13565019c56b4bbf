#pragma once

#include <map>
#include <optional>
#include <string>

namespace kvtransfer {

/// What a condition is and how its outcome is to be read; no code, so that reports need no model.
struct condition_description {
  std::string id;        ///< name on the command line and in files, snake_case
  std::string title;     ///< heading in tables
  std::string injected;  ///< what is in the cache and what is fed
  std::string tells;     ///< what the outcome tells

  std::optional<std::string> reference = {};        ///< condition to compare with, token by token
  bool must_equal_reference = false;                ///< in fp32 any difference from the reference is a fault
  std::optional<std::string> reconstructs = {};     ///< the published column that this harness is meant to give
  std::string mistake = {};                         ///< what a reconstructed harness does wrong; empty otherwise
  bool random = false;                              ///< differs from trial to trial even when decoding is greedy
  std::map<std::string, std::string> factors = {};  ///< its level of each factor that the run crosses, by name

  friend bool operator==(const condition_description&, const condition_description&) = default;
};

}  // namespace kvtransfer
