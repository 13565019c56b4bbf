#include "model/step_kernels.hpp"

#include <cstdlib>
#include <optional>
#include <string>

#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::detail::gpu_kernels_wanted;
using kvtransfer::detail::replays_steps_unasked;

namespace {

/// KVTRANSFER_CUDA_GRAPHS as it was before, once this goes.
class graphs_variable {
 public:
  graphs_variable() {
    if (const char* const said = std::getenv(name)) {
      before_ = said;
    }
  }
  graphs_variable(const graphs_variable&) = delete;
  graphs_variable& operator=(const graphs_variable&) = delete;
  ~graphs_variable() { set(before_); }

  static void set(const std::optional<std::string>& value) {
    value ? ::setenv(name, value->c_str(), 1) : ::unsetenv(name);
  }

 private:
  static constexpr const char* name = "KVTRANSFER_CUDA_GRAPHS";
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("a GPU's decode steps are replayed unless KVTRANSFER_CUDA_GRAPHS says off", "[model][step_kernels]") {
  const graphs_variable variable;
  variable.set(std::nullopt);
  CHECK(replays_steps_unasked());
  variable.set("on");
  CHECK(replays_steps_unasked());
  variable.set("off");
  CHECK_FALSE(replays_steps_unasked());
}

TEST_CASE("another value of KVTRANSFER_CUDA_GRAPHS than on and off is refused, not taken for either",
          "[model][step_kernels]") {
  const graphs_variable variable;
  for (const char* value : {"of", "OFF", "0", "1", "", "off "}) {
    CAPTURE(value);
    variable.set(value);
    CHECK(test::message_of<value_error>([] { static_cast<void>(replays_steps_unasked()); }) ==
          std::string("generate_many: KVTRANSFER_CUDA_GRAPHS: expected on or off, got ") + value);
  }
}

TEST_CASE("kernels are wanted by one thread while a step asks for them", "[model][step_kernels]") {
  CHECK_FALSE(detail::wants_gpu_kernels());
  {
    const gpu_kernels_wanted outer(true);
    CHECK(detail::wants_gpu_kernels());
    {
      const gpu_kernels_wanted inner(false);
      CHECK_FALSE(detail::wants_gpu_kernels());
    }
    CHECK(detail::wants_gpu_kernels());
  }
  CHECK_FALSE(detail::wants_gpu_kernels());
}
