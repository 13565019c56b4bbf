#include "model/step_graphs.hpp"

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "kvtransfer/tensor/kernel_table.hpp"

namespace kvtransfer::detail {

namespace {

void call_with_graph(const char* name, const at::Tensor& on, std::int64_t graph) {
  c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<void(const at::Tensor&, std::int64_t)>().call(on,
                                                                                                               graph);
}

}  // namespace

step_graphs::step_graphs(at::Tensor on, bool enabled)
    : on_(std::move(on)), enabled_(enabled && on_.is_cuda() && has_kernel("kvtransfer::graph_begin", on_.device())) {}

step_graphs::~step_graphs() {
  try {
    forget();
  } catch (const std::exception& error) {  // the device is lost: whoever uses it next says so
    TORCH_WARN("a CUDA graph could not be freed: ", error.what());
  }
}

void step_graphs::forget() {
  for (auto& [rows, made] : steps_) {
    if (made.graph) {
      call_with_graph("kvtransfer::graph_drop", on_, *made.graph);
    }
  }
  steps_.clear();
}

void step_graphs::run(std::int64_t rows, const std::function<void()>& step) {
  if (!enabled_) {
    step();
    return;
  }
  made_step& made = steps_[rows];
  if (!made.is_warm) {
    step();
    made.is_warm = true;
    return;
  }
  if (!made.graph) {
    made.graph = captured(step);
  }
  if (made.graph) {
    call_with_graph("kvtransfer::graph_replay", on_, *made.graph);
  } else {
    step();
  }
}

std::optional<std::int64_t> step_graphs::captured(const std::function<void()>& step) {
  static const auto begin = c10::Dispatcher::singleton()
                                .findSchemaOrThrow("kvtransfer::graph_begin", "")
                                .typed<std::int64_t(const at::Tensor&, std::optional<std::int64_t>)>();
  // What a step takes on the way is free behind it, so that steps of all sizes can use the same memory.
  const auto before = std::ranges::find_if(steps_, [](const auto& made) { return made.second.graph.has_value(); });
  std::optional<std::int64_t> graph;
  try {
    graph = begin.call(on_, before == steps_.end() ? std::nullopt : before->second.graph);
    step();
    call_with_graph("kvtransfer::graph_end", on_, *graph);
    return graph;
  } catch (const std::exception& error) {
    TORCH_WARN("steps are made one kernel at a time: no CUDA graph: ", error.what());
    enabled_ = false;
    if (graph) {
      call_with_graph("kvtransfer::graph_drop", on_, *graph);
    }
    return std::nullopt;
  }
}

}  // namespace kvtransfer::detail
