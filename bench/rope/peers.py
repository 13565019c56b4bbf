"""Times rotations of keys by other libraries beside ours: the same bytes, the same run, by turns; one table, best first.

Keys are one tensor in bfloat16, heads before tokens or tokens before heads as each library wants them; every token moves from
a position p to a position q, random below --positions. A library that is not installed is named and left out.

    python bench/rope/peers.py --library build/release/lib/libkvtransfer_kernels.so [--device cuda] [--megabytes 512]
"""

import argparse
import statistics
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Callable

import torch


@dataclass
class Problem:
    """Keys [1, heads, tokens, head_dim] and [tokens, heads, head_dim], and where each token moves from and to."""

    heads_first: torch.Tensor
    tokens_first: torch.Tensor
    elsewhere: torch.Tensor
    old: torch.Tensor
    new: torch.Tensor
    inv_freq: torch.Tensor
    positions: int

    @property
    def head_dim(self) -> int:
        return self.heads_first.shape[-1]

    def cosine_and_sine(self, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        angles = torch.outer((self.new - self.old).double().cpu(), self.inv_freq.double())
        doubled = torch.cat((angles, angles), dim=-1).to(self.old.device)
        return doubled.cos().to(dtype), doubled.sin().to(dtype)


def make_problem(args: argparse.Namespace) -> Problem:
    tokens = args.megabytes * 2**20 // (args.heads * args.head_dim * 2)
    heads_first = torch.randn(1, args.heads, tokens, args.head_dim, dtype=torch.bfloat16, device=args.device)
    return Problem(
        heads_first=heads_first,
        tokens_first=torch.randn(tokens, args.heads, args.head_dim, dtype=torch.bfloat16, device=args.device),
        elsewhere=torch.empty_like(heads_first),
        old=torch.randint(0, args.positions, (tokens,), device=args.device),
        new=torch.randint(0, args.positions, (tokens,), device=args.device),
        inv_freq=args.theta ** (-torch.arange(0, args.head_dim, 2).float() / args.head_dim),
        positions=args.positions,
    )


def ours(problem: Problem) -> dict[str, Callable[[], None]]:
    rotate = torch.ops.kvtransfer.rotate_keys_
    tokens_first = problem.tokens_first.permute(1, 0, 2).unsqueeze(0)
    f = problem.inv_freq

    def remap(keys: torch.Tensor, wanted: torch.Tensor = f) -> Callable[[], None]:
        return lambda: rotate([keys], problem.old, problem.new, 0, f, wanted, None, 1.0, 0, False, False)

    return {
        "kvtransfer shift": lambda: rotate([problem.heads_first], None, None, 777, None, f, None, 1.0, 0, False, False),
        "kvtransfer remap": remap(problem.heads_first),
        "kvtransfer remap, tokens first": remap(tokens_first),
        "kvtransfer reframe": remap(problem.heads_first, f / 4),
    }


def rotate_half(x: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


def transformers_expression(problem: Problem) -> dict[str, Callable[[], None]]:
    from transformers.models.llama.modeling_llama import rotate_half as half_of

    cosine, sine = problem.cosine_and_sine(torch.bfloat16)

    def expression(keys: torch.Tensor) -> torch.Tensor:
        return keys * cosine + half_of(keys) * sine

    compiled = torch.compile(lambda keys: keys.copy_(keys * cosine + rotate_half(keys) * sine))
    ways = {"transformers, eager": lambda: problem.heads_first.copy_(expression(problem.heads_first))}
    if problem.heads_first.is_cuda:
        ways["transformers, torch.compile"] = lambda: compiled(problem.heads_first)
    return ways


def kvpress(problem: Problem) -> dict[str, Callable[[], None]]:
    from kvpress import KeyRerotationPress

    tokens = problem.heads_first.shape[2]
    module = SimpleNamespace(rotary_emb=SimpleNamespace(inv_freq=problem.inv_freq), head_dim=problem.head_dim)
    kept = torch.arange(tokens, device=problem.old.device).expand(1, problem.heads_first.shape[1], tokens)
    return {"kvpress": lambda: KeyRerotationPress.rerotate_keys(module, kept, problem.heads_first)}


def lmcache(problem: Problem) -> dict[str, Callable[[], None]]:
    if not problem.heads_first.is_cuda:
        raise ImportError("its kernel is for CUDA")
    try:
        import lmcache.cuda_ops as ops
    except ImportError:  # as older releases call it
        import lmcache.c_ops as ops

    angles = torch.outer(torch.arange(problem.positions).double(), problem.inv_freq.double())
    table = torch.cat((angles.cos(), angles.sin()), dim=-1).to(problem.heads_first)
    return {
        "LMCache rotary_embedding_k_fused": lambda: ops.rotary_embedding_k_fused(
            problem.old, problem.new, problem.tokens_first, problem.head_dim, table, True
        )
    }


def flashinfer(problem: Problem) -> dict[str, Callable[[], None]]:
    if not problem.heads_first.is_cuda:
        raise ImportError("its kernel is for CUDA")
    import flashinfer

    # It rotates forward, from no rotation; the work is that of a remap. Queries are obligatory: one head of them.
    difference = (problem.new - problem.old).abs().int()
    queries = torch.zeros_like(problem.tokens_first[:, :1])
    return {
        "FlashInfer apply_rope_pos_ids_inplace": lambda: flashinfer.apply_rope_pos_ids_inplace(
            queries, problem.tokens_first, difference
        )
    }


def seconds(device: str, work: Callable[[], None]) -> float:
    if device.startswith("cuda"):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        work()
        stop.record()
        torch.cuda.synchronize()
        return start.elapsed_time(stop) * 1e-3
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True, help="libkvtransfer_kernels.so")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--megabytes", type=int, default=512, help="of keys")
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--head-dim", type=int, default=128)
    parser.add_argument("--positions", type=int, default=131072)
    parser.add_argument("--theta", type=float, default=1e4)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()

    torch.ops.load_library(args.library)
    problem = make_problem(args)
    words = problem.heads_first.view(torch.int64)
    ways = {
        "copy": lambda: problem.elsewhere.copy_(problem.heads_first),
        "touch in place": lambda: words.bitwise_xor_(1),
        **ours(problem),
    }
    for peer in (transformers_expression, kvpress, lmcache, flashinfer):
        try:
            candidates = peer(problem)
            for work in candidates.values():
                work()
            ways.update(candidates)
        except Exception as missing:  # whatever a peer's import or first call throws, the others still run
            print(f"left out: {peer.__name__}: {missing}")

    times: dict[str, list[float]] = {name: [] for name in ways}
    for work in ways.values():
        seconds(args.device, work)
    for _ in range(args.rounds):
        for name, work in ways.items():
            times[name].append(seconds(args.device, work))

    copy = statistics.median(times["copy"])
    moved = 2e-9 * problem.heads_first.numel() * problem.heads_first.element_size()
    print(f"{args.device}, bfloat16, {args.megabytes} MiB, {args.heads} heads of {args.head_dim}, median of {args.rounds}")
    print(f"{'':40}{'ms':>10}{'GB/s':>10}{'copies':>10}")
    for name, taken in sorted(times.items(), key=lambda item: statistics.median(item[1])):
        typical = statistics.median(taken)
        print(f"{name:40}{typical * 1e3:10.3f}{moved / typical:10.0f}{typical / copy:10.2f}")


if __name__ == "__main__":
    main()
