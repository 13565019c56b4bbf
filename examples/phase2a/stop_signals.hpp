#pragma once

#include <unistd.h>

#include <csignal>
#include <string_view>

namespace phase2a {

/// Thrown to end a run between two steps; no std::exception, so that nobody takes it for an error.
struct stopped {
  int signal = 0;  ///< that asked for it
};

/// What Ctrl-C (SIGINT) and SIGTERM do. While nothing has been begun they end the program at once; then they are noted,
/// for a run to end between two steps; and the second ends the program at once again.
class stop_signals {
 public:
  /// From here on they end the program with one line, since there is nothing to finish.
  static void end_at_once() {
    between_steps_ = 0;
    catch_all();
  }

  /// From here on they are noted.
  static void note() { between_steps_ = 1; }

  /// @throws stopped if one has come
  static void throw_if_noted() {
    if (noted_ != 0) {
      throw stopped{noted_};  // NOLINT(bugprone-std-exception-baseclass)
    }
  }

 private:
  static void catch_all() {
    struct sigaction action{};
    action.sa_handler = [](int signal) { take(signal); };
    action.sa_flags = SA_RESTART;
    for (const int signal : {SIGINT, SIGTERM}) {
      struct sigaction inherited{};
      ::sigaction(signal, nullptr, &inherited);
      if (inherited.sa_handler != SIG_IGN) {  // as a shell has it for what runs in the background
        ::sigaction(signal, &action, nullptr);
      }
    }
  }

  /// Calls only what POSIX allows in a handler.
  static void take(int signal) {
    if (between_steps_ != 0 && noted_ == 0) {
      noted_ = signal;
      return;
    }
    constexpr std::string_view line = "phase2a: interrupted\n";
    if (noted_ == 0 && ::write(STDERR_FILENO, line.data(), line.size()) < 0) {
      noted_ = signal;  // nobody listens
    }
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }

  static inline volatile std::sig_atomic_t between_steps_ = 0;
  static inline volatile std::sig_atomic_t noted_ = 0;
};

}  // namespace phase2a
