#include "stop_signals.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "support/test.hpp"

using namespace phase2a;

namespace {

/// How a process of its own ends that does this. @return what `waitpid` says
template <class Work>
int status_of(Work&& work) {
  const ::pid_t child = ::fork();
  if (child == 0) {
    ::close(STDERR_FILENO);
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    work();
    ::_exit(77);  // went on
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

bool went_on(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 77; }

bool ended_by(int signal, int status) { return WIFSIGNALED(status) && WTERMSIG(status) == signal; }

}  // namespace

TEST_CASE("before a run begins a signal ends the program at once", "[phase2a]") {
  for (const int signal : {SIGINT, SIGTERM}) {
    CHECK(ended_by(signal, status_of([&] {
                     stop_signals::end_at_once();
                     std::raise(signal);
                   })));
  }
}

TEST_CASE("a run's first signal is noted for the end of the step", "[phase2a]") {
  for (const int signal : {SIGINT, SIGTERM}) {
    CHECK(went_on(status_of([&] {
      stop_signals::end_at_once();
      stop_signals::note();
      stop_signals::throw_if_noted();  // nothing yet
      std::raise(signal);
      try {
        stop_signals::throw_if_noted();
        ::_exit(1);
      } catch (const stopped& asked) {
        if (asked.signal != signal) {
          ::_exit(2);
        }
      }
    })));
  }
}

TEST_CASE("a run's second signal ends the program at once", "[phase2a]") {
  CHECK(ended_by(SIGTERM, status_of([] {
                   stop_signals::end_at_once();
                   stop_signals::note();
                   std::raise(SIGINT);
                   std::raise(SIGTERM);
                 })));
}

TEST_CASE("a signal that is ignored where the program is started stays ignored", "[phase2a]") {
  CHECK(went_on(status_of([] {
    std::signal(SIGINT, SIG_IGN);
    stop_signals::end_at_once();
    std::raise(SIGINT);
  })));
}
