#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace kvtransfer {

/// The digest of a model's weights: a text that is known, or that is worked out when somebody first asks for it.
///
/// Copies share what was worked out, and two of them are equal without it: a model that compares its own caches with
/// itself alone never reads its files a second time. Threads may ask at once.
class model_digest {
 public:
  /// Nobody's: empty.
  model_digest() = default;
  /// The digits that are known. Not explicit, as a digest is read and written as its text.
  model_digest(std::string text) : state_(text.empty() ? nullptr : std::make_shared<state>(std::move(text))) {}
  /// Likewise.
  model_digest(const char* text) : model_digest(std::string(text)) {}

  /// One that `work` gives, in the thread that first asks. Where it throws, whoever asks next tries again.
  [[nodiscard]] static model_digest worked_out_by(std::function<std::string()> work);

  /// The digits. @throws what the work throws
  [[nodiscard]] const std::string& text() const;
  operator const std::string&() const { return text(); }  ///< As `text`.
  /// Whether it is nobody's; that takes no work.
  [[nodiscard]] bool empty() const { return state_ == nullptr; }

  friend bool operator==(const model_digest& a, const model_digest& b) {
    return a.state_ == b.state_ || (!a.empty() && !b.empty() && a.text() == b.text());
  }
  friend std::string_view format_as(const model_digest& digest) { return digest.text(); }  ///< For fmt.

 private:
  struct state {
    explicit state(std::string known, std::function<std::string()> still = nullptr)
        : text(std::move(known)), work(std::move(still)) {}

    const std::string& settled();

    std::mutex mutex;
    std::string text;
    std::function<std::string()> work;
  };

  std::shared_ptr<state> state_;
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/model_digest.ipp"  // IWYU pragma: export
#endif
