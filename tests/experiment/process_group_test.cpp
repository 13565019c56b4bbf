#include "kvtransfer/experiment/process_group.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// What torchrun tells a process, while this lives.
class torchrun_environment {
 public:
  explicit torchrun_environment(std::map<std::string, std::string> values) : values_(std::move(values)) {
    for (const auto& [name, value] : values_) {
      ::setenv(name.c_str(), value.c_str(), 1);
    }
  }
  torchrun_environment(const torchrun_environment&) = delete;
  torchrun_environment& operator=(const torchrun_environment&) = delete;
  ~torchrun_environment() {
    for (const auto& [name, value] : values_) {
      ::unsetenv(name.c_str());
    }
  }

 private:
  std::map<std::string, std::string> values_;
};

/// A port that nobody listened at a moment ago.
std::string free_port() {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  ::sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::bind(listener, reinterpret_cast<const ::sockaddr*>(&address), sizeof(address));
  ::socklen_t size = sizeof(address);
  ::getsockname(listener, reinterpret_cast<::sockaddr*>(&address), &size);
  ::close(listener);
  return std::to_string(ntohs(address.sin_port));
}

std::map<std::string, std::string> rank_of_two(const std::string& rank, const std::string& port) {
  return {{"RANK", rank},
          {"WORLD_SIZE", "2"},
          {"LOCAL_RANK", rank},
          {"LOCAL_WORLD_SIZE", "2"},
          {"MASTER_ADDR", "127.0.0.1"},
          {"MASTER_PORT", port}};
}

}  // namespace

TEST_CASE("a process alone counts for itself", "[experiment][process_group]") {
  process_group group = process_group::from_environment();
  CHECK(group.rank() == 0);
  CHECK(group.size() == 1);
  CHECK(group.local_size() == 1);
  CHECK(group.restarts() == 0);
  CHECK(group.add("a", 1) == 1);
  CHECK(group.add("a", 2) == 3);
  CHECK(group.add("b", 0) == 0);
  CHECK_FALSE(group.is_marked("c"));
  group.mark("c");
  CHECK(group.is_marked("c"));
}

TEST_CASE("two processes have counters and marks in common", "[experiment][process_group]") {
  const std::string port = free_port();
  const auto opened = [&](const char* rank, const char* restarts) {
    auto variables = rank_of_two(rank, port);
    variables["TORCHELASTIC_RESTART_COUNT"] = restarts;
    const torchrun_environment environment(variables);
    return process_group::from_environment();
  };
  process_group first = opened("0", "0");
  process_group second = opened("1", "0");
  CHECK(second.rank() == 1);
  CHECK(second.local_rank() == 1);
  CHECK(second.size() == 2);
  CHECK(first.add("claims", 1) == 1);
  CHECK(second.add("claims", 1) == 2);
  CHECK(first.add("claims", 1) == 3);
  CHECK_FALSE(second.is_marked("ready"));
  first.mark("ready");
  CHECK(second.is_marked("ready"));

  // Started again, a group on the same store counts from 0.
  process_group again = opened("1", "1");
  CHECK(again.restarts() == 1);
  CHECK(again.add("claims", 1) == 1);
  CHECK_FALSE(again.is_marked("ready"));
}

TEST_CASE("a store that is gone is an error of the group's", "[experiment][process_group]") {
  const std::string port = free_port();
  auto first = std::make_unique<process_group>();
  {
    const torchrun_environment environment(rank_of_two("0", port));
    *first = process_group::from_environment();
  }
  const torchrun_environment environment(rank_of_two("1", port));
  process_group second = process_group::from_environment();
  first.reset();
  const std::string complaint = message_of<process_group_error>([&] {
    second.add("claims", 1);
    second.add("claims", 1);  // the first may still go out
  });
  CHECK(complaint.starts_with("process group: 127.0.0.1:" + port + ": expected a store that answers, got "));
  CHECK(complaint.find('\n') == std::string::npos);
}

TEST_CASE("variables that torchrun would not set are refused by name", "[experiment][process_group]") {
  const auto complaint_about = [](const char* name, const char* value) {
    auto variables = rank_of_two("0", "29500");
    variables[name] = value;
    const torchrun_environment environment(variables);
    return message_of<value_error>([] { process_group::from_environment(); });
  };
  CHECK(complaint_about("RANK", "x") ==
        "environment: RANK: expected an integer from 0 to 2147483647, as torchrun sets it, got x");
  CHECK_THAT(complaint_about("RANK", "2"), contains("RANK: expected an integer from 0 to 1"));
  CHECK_THAT(complaint_about("WORLD_SIZE", "0"), contains("WORLD_SIZE: expected an integer from 1"));
  CHECK_THAT(complaint_about("LOCAL_RANK", "2"), contains("LOCAL_RANK: expected an integer from 0 to 1"));
  CHECK_THAT(complaint_about("MASTER_PORT", "70000"), contains("MASTER_PORT: expected an integer from 1 to 65535"));
  CHECK_THAT(complaint_about("MASTER_ADDR", ""), contains("MASTER_ADDR: expected a host's name"));
  const torchrun_environment environment(std::map<std::string, std::string>{{"RANK", "0"}});
  CHECK_THAT(message_of<value_error>([] { process_group::from_environment(); }), contains("WORLD_SIZE: expected"));
}
