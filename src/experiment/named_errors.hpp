#pragma once

#include <fmt/format.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

/// Runs `work` and puts `where` in front of what it complains of. The library's errors keep their kind; any other
/// exception comes nested in a `std::runtime_error`, of its text the first line.
template <class Work>
decltype(auto) naming(std::string_view where, Work&& work) {
  const auto named = [&](const std::exception& problem) {
    const std::string_view what = problem.what();
    return fmt::format("{}: {}", where, what.substr(0, what.find('\n')));
  };
  try {
    return std::forward<Work>(work)();
  } catch (const shape_error& problem) {
    throw shape_error(named(problem));
  } catch (const frame_error& problem) {
    throw frame_error(named(problem));
  } catch (const device_error& problem) {
    throw device_error(named(problem));
  } catch (const out_of_memory_error& problem) {
    throw out_of_memory_error(named(problem));
  } catch (const full_disk_error& problem) {
    throw full_disk_error(named(problem));
  } catch (const file_error& problem) {
    throw file_error(named(problem));
  } catch (const value_error& problem) {
    throw value_error(named(problem));
  } catch (const error& problem) {
    throw error(named(problem));
  } catch (const std::exception& problem) {
    std::throw_with_nested(std::runtime_error(named(problem)));
  }
}

}  // namespace kvtransfer::detail
