#include <torch/library.h>

// What a GPU was told once, told again by one call: a step of many small kernels costs the host more time than the GPU
// otherwise. Only on CUDA. Calls between begin and end are kept instead of made; what they write must be there before
// and stay where it is.
//
//   graph_begin(on, beside) -> int  calls on `on`'s device, from this thread, are kept from here on; they use the
//                                   memory of the graph `beside` too, so the two are not replayed at once
//   graph_end(on, graph)            up to here; an error leaves no graph, and calls are made again
//   graph_replay(on, graph)         makes them, on the current stream
//   graph_drop(on, graph)           forgets them

TORCH_LIBRARY_FRAGMENT(kvtransfer, library) {
  library.def("graph_begin(Tensor on, int? beside=None) -> int");
  library.def("graph_end(Tensor on, int graph) -> ()");
  library.def("graph_replay(Tensor on, int graph) -> ()");
  library.def("graph_drop(Tensor on, int graph) -> ()");
}
