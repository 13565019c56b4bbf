"""Moves one sequence's keys in vLLM's paged tensors, block by block where they lie.

Only the blocks in the sequence's block table are touched, and of the last one only the filled slots. A block that prefix
caching shares with other sequences would move for them too: those are the caller's to copy first (in vLLM: ref_cnt > 1).
Everything is checked before the first key changes.
"""

import operator
from collections.abc import Callable, Sequence

import torch

from .moves import Rotaries, plan, require_positions, run


def paged_keys(kv_cache: torch.Tensor, layout: str = "NHD", kv_axis: int = 0) -> torch.Tensor:
    """The keys of one layer's paged tensor as a view [num_blocks, kv_heads, block_size, head_dim].

    kv_cache  [2, num_blocks, block_size, kv_heads, head_dim] for NHD, [2, num_blocks, kv_heads, block_size, head_dim] for HND.
              vLLM itself hands out views of NHD shape whatever the order in memory; pass those as NHD. An FP8 cache of uint8 is
              to be passed as `kv_cache.view(torch.float8_e4m3fn)`.
    kv_axis   where keys and values lie side by side: 0 (FlashAttention's backend) or 1 (FlashInfer's)
    """
    if kv_cache.dim() != 5 or kv_axis not in (0, 1) or kv_cache.shape[kv_axis] != 2 or layout not in ("NHD", "HND"):
        raise ValueError(
            f"paged_keys: expected 5 axes, 2 of kv_axis={kv_axis} (0 or 1), NHD or HND, got {list(kv_cache.shape)} {layout}"
        )
    keys = kv_cache.select(kv_axis, 0)
    return keys.transpose(1, 2) if layout == "NHD" else keys


def shift_blocks_(
    layers: Sequence[torch.Tensor], rotary: Rotaries, block_table: Sequence[int], seq_len: int, delta: int
) -> None:
    """Moves every key of a sequence by `delta` tokens.

    layers       of `paged_keys`, one a layer
    block_table  the sequence's blocks in order; entries past `seq_len` tokens are ignored
    """
    blocks, rest = _owned("shift_blocks_", layers, block_table, seq_len)
    calls = []
    if len(blocks) > 0:
        calls += plan("shift_blocks_", layers, None, rotary, None, None, delta=delta, blocks=blocks)
    if rest is not None:
        calls += plan("shift_blocks_", [rest(layer) for layer in layers], None, rotary, None, None, delta=delta)
    run(calls)


def remap_blocks_(
    layers: Sequence[torch.Tensor], rotary: Rotaries, block_table: Sequence[int], old: torch.Tensor, new: torch.Tensor
) -> None:
    """Moves the keys of a sequence from positions `old` to `new`, int64 [seq_len] each; otherwise as `shift_blocks_`."""
    if old.shape != new.shape or old.dim() != 1:
        raise ValueError(f"remap_blocks_: positions: expected [seq_len] twice, got {list(old.shape)} and {list(new.shape)}")
    for positions in (old, new):
        require_positions("remap_blocks_", positions, (1, 1, len(old)))
    blocks, rest = _owned("remap_blocks_", layers, block_table, len(old))
    calls = []
    if len(blocks) > 0:
        block_size = layers[0].shape[2]
        whole = len(blocks) * block_size
        in_blocks = [positions[:whole].view(-1, 1, block_size) for positions in (old, new)]
        calls += plan("remap_blocks_", layers, rotary, rotary, *in_blocks, blocks=blocks)
    if rest is not None:
        filled = len(old) - len(old) % layers[0].shape[2]
        calls += plan("remap_blocks_", [rest(layer) for layer in layers], rotary, rotary, old[filled:], new[filled:])
    run(calls)


def _index(where: str, what: str, given) -> int:
    try:
        return operator.index(given)
    except TypeError:
        raise ValueError(f"{where}: {what}: expected integers, got {given!r}") from None


def _owned(
    where: str, layers: Sequence[torch.Tensor], block_table: Sequence[int], seq_len: int
) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor] | None]:
    """The full blocks of a sequence, int64 [n], and a function to the filled slots of the last one where it is not full."""
    if len(layers) == 0:
        raise ValueError(f"{where}: layers: expected at least one, got none")
    num_blocks, _, block_size, _ = layers[0].shape
    for layer in layers:
        if (layer.shape[0], layer.shape[2]) != (num_blocks, block_size):
            raise ValueError(f"{where}: layers: expected {num_blocks} blocks of {block_size} in each, got {list(layer.shape)}")
    seq_len = _index(where, "seq_len", seq_len)
    if seq_len < 0:
        raise ValueError(f"{where}: seq_len: expected 0 tokens or more, got {seq_len}")
    blocks = [_index(where, "block_table", block) for block in block_table][: -(-seq_len // block_size)]
    if len(blocks) * block_size < seq_len:
        raise ValueError(f"{where}: block_table: expected blocks for {seq_len} tokens, got {len(blocks)} of {block_size}")
    if len(set(blocks)) < len(blocks) or not all(0 <= block < num_blocks for block in blocks):
        raise ValueError(f"{where}: block_table: expected 0 <= block < {num_blocks}, each once, got {blocks}")
    filled = seq_len % block_size
    if filled == 0:
        return torch.tensor(blocks, dtype=torch.int64), None
    last = blocks.pop()
    return torch.tensor(blocks, dtype=torch.int64), lambda layer: layer[last : last + 1, :, :filled]
