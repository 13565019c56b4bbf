#include "kvtransfer/experiment/torchrun_store.hpp"

#include <fmt/format.h>

#include "experiment/c10d_store.hpp"  // IWYU pragma: keep (its names are torch's)
#include "experiment/store_answers.hpp"
#include "kvtransfer/core/error.hpp"  // IWYU pragma: keep (where torch has no c10d)

// Not there in builds of torch without distributed training.
#if __has_include(<torch/csrc/distributed/c10d/TCPStore.hpp>)
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif

namespace kvtransfer {

#if __has_include(<torch/csrc/distributed/c10d/TCPStore.hpp>)

c10::intrusive_ptr<c10d::Store> open_store(const torchrun_variables& told, std::string_view program,
                                           store_opening opening) {
  c10d::TCPStoreOptions options;
  options.port = told.port;
  options.isServer = told.hosts_store;
  options.multiTenant = true;
  options.waitWorkers = opening == store_opening::with_all;
  if (options.waitWorkers) {
    options.numWorkers = static_cast<std::size_t>(told.size);
  }
  return detail::answered(detail::address_of(told), [&]() -> c10::intrusive_ptr<c10d::Store> {
    return c10::make_intrusive<c10d::PrefixStore>(
        fmt::format("{}/{}/{}/{}", program, told.run_id, told.restarts, told.size),
        c10::make_intrusive<c10d::TCPStore>(told.host, options));
  });
}

#else

c10::intrusive_ptr<c10d::Store> open_store(const torchrun_variables&, std::string_view, store_opening) {
  fail<device_error>("process group", "torch", "a build with c10d's TCPStore", "one without");
}

#endif

}  // namespace kvtransfer
