"""Checks the operators as Python sees them: torch's own opcheck and torch.compile; on CUDA also graphs, launches and waiting.

Run: python tests/rope/kernels/in_python/operators.py LIBRARY   (LIBRARY: libkvtransfer_kernels.so)
"""

import sys

import torch
from torch.library import opcheck


def arguments(device, tokens=9):
    """A remap of `tokens` tokens, as turn_ and turn take it after the keys."""
    f = 1e4 ** (-torch.arange(0, 64, 2).float() / 64)
    old = torch.randint(0, 1 << 20, (1, 1, 1, tokens), device=device)
    return old, old + 12345, 0, f, f, None, 1.0, 0, False, False


def layers(device, count=22, tokens=9):
    return [torch.randn(1, 4, tokens, 64, device=device, dtype=torch.bfloat16) for _ in range(count)]


def check_registration(device):
    operators = torch.ops.kvtransfer
    # On CUDA the fake kernel meets tables on the CPU beside keys on the GPU, which opcheck's fake tensors do not allow.
    tests = ("test_schema", "test_autograd_registration") + (("test_faketensor", "test_aot_dispatch_dynamic") if device == "cpu" else ())
    keys = [key.float() for key in layers(device, count=2)]
    opcheck(operators.turn_.default, (keys, *arguments(device)), test_utils=tests)
    opcheck(operators.convert_pairing_.default, (keys, 0, 64, True), test_utils=tests)
    differentiable = [key.clone().requires_grad_() for key in keys]
    opcheck(operators.turn.default, (differentiable, *arguments(device)), test_utils=tests)


def check_compilation():
    given = arguments("cpu")

    def moved(key):
        copy = key + 1
        torch.ops.kvtransfer.turn_([copy], *given)
        return copy + torch.ops.kvtransfer.turn([key], *given)[0]

    key = torch.randn(1, 4, 9, 64)
    assert torch.equal(torch.compile(moved, fullgraph=True)(key), moved(key))


def check_graph():
    """A captured turn, played again, turns what the tensors hold then."""
    given = arguments("cuda")
    keys = layers("cuda")
    torch.ops.kvtransfer.turn_(keys, *given)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        torch.ops.kvtransfer.turn_(keys, *given)
    fresh = layers("cuda")
    expected = torch.ops.kvtransfer.turn(fresh, *given)
    for key, value in zip(keys, fresh):
        key.copy_(value)
    graph.replay()
    torch.cuda.synchronize()
    assert all(torch.equal(key, value) for key, value in zip(keys, expected))


def check_one_launch():
    """All layers are one kernel, on the current stream, and nobody waits for it."""
    given = arguments("cuda", tokens=64)
    keys = layers("cuda", tokens=64)
    torch.ops.kvtransfer.turn_(keys, *given)
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        torch.cuda.set_sync_debug_mode("error")
        with torch.cuda.stream(torch.cuda.Stream()):
            torch.ops.kvtransfer.turn_(keys, *given)
        torch.cuda.set_sync_debug_mode("default")
        torch.cuda.synchronize()
    kernels = [event for event in profile.events() if "turn_kernel" in event.name]
    assert len(kernels) == 1, [event.name for event in profile.events()]


def main():
    torch.ops.load_library(sys.argv[1])
    check_registration("cpu")
    check_compilation()
    if torch.cuda.is_available():
        check_registration("cuda")
        check_graph()
        check_one_launch()
    else:
        print("skipped: no CUDA device")
    print("operators: all checks passed")


if __name__ == "__main__":
    main()
