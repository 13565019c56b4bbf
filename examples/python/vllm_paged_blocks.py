"""Moves a sequence in vLLM's paged tensors, in place and block by block, and generates on from what the blocks then hold.

    python examples/python/vllm_paged_blocks.py [--model FOLDER]

The tensors are made here, in the shapes and strides that vLLM gives them; vLLM itself is not needed. In its process
`kv_caches` are those of the model runner and `block_table` the request's block ids.
"""

import torch
from transformers import DynamicCache

import kvtransfer_torch as kvtransfer
from text_model import TextModel, argument_parser

SOURCE = "Hello, my name is Lyra and I live in Seattle. The capital of France is Paris, a city on a river."
QUESTION = "What is your name and where do you live?"
BLOCK_SIZE = 16
NUM_BLOCKS = 12
BY = 300


def paged_tensor(kv_heads: int, head_dim: int, layout: str) -> torch.Tensor:
    """One layer's [2, num_blocks, block_size, kv_heads, head_dim], as vLLM allocates it: for HND another order in memory."""
    if layout == "NHD":
        return torch.randn(2, NUM_BLOCKS, BLOCK_SIZE, kv_heads, head_dim)
    return torch.randn(2, NUM_BLOCKS, kv_heads, BLOCK_SIZE, head_dim).permute(0, 1, 3, 2, 4)


def slots_of(block_table: list[int], seq_len: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(block, place within it) of every token."""
    tokens = torch.arange(seq_len)
    return torch.tensor(block_table)[tokens // BLOCK_SIZE], tokens % BLOCK_SIZE


def write(cache: DynamicCache, layout: str, block_table: list[int]) -> list[torch.Tensor]:
    """Paged tensors, full of other sequences' numbers, with the tokens of `cache` in the blocks of the table."""
    slots = slots_of(block_table, cache.get_seq_length())
    kv_caches = []
    for layer in cache.layers:
        paged = paged_tensor(layer.keys.shape[1], layer.keys.shape[3], layout)
        for half, tensor in zip(paged, (layer.keys, layer.values)):
            half[slots] = tensor[0].transpose(0, 1)
        kv_caches.append(paged)
    return kv_caches


def read(kv_caches: list[torch.Tensor], block_table: list[int], seq_len: int) -> DynamicCache:
    slots = slots_of(block_table, seq_len)
    return DynamicCache([tuple(half[slots].transpose(0, 1)[None] for half in paged) for paged in kv_caches])


def only_these_keys_changed(
    before: list[torch.Tensor], after: list[torch.Tensor], block_table: list[int], seq_len: int
) -> bool:
    block, place = slots_of(block_table, seq_len)
    for old, new in zip(before, after):
        changed = (old != new).any(dim=-1).any(dim=-1)  # [2, num_blocks, block_size]
        allowed = torch.zeros_like(changed)
        allowed[0, block, place] = True
        if (changed & ~allowed).any() or not changed[allowed].any():
            return False
    return True


def main() -> None:
    args = argument_parser(__doc__).parse_args()
    kvtransfer.load()
    text = TextModel(args.model)
    source, question = text.encode(SOURCE, start=True), text.encode(QUESTION)
    seq_len = source.shape[1]
    block_table = [7, 2, 11, 4, 9, 0][: -(-seq_len // BLOCK_SIZE)]
    _, there = text.forward(source, BY)
    expected = text.greedy(there, question, BY + seq_len, steps=30)

    for layout in ("NHD", "HND"):
        _, cache = text.forward(source, 0)
        kv_caches = write(cache, layout, block_table)
        before = [paged.clone() for paged in kv_caches]
        keys = [kvtransfer.paged_keys(paged) for paged in kv_caches]
        kvtransfer.shift_blocks_(keys, kvtransfer.rotary_of(text.model), block_table, seq_len, BY)  # the move

        assert only_these_keys_changed(before, kv_caches, block_table, seq_len)
        said = text.greedy(read(kv_caches, block_table, seq_len), question, BY + seq_len, steps=30)
        print(f"{layout}: {seq_len} tokens in blocks {block_table}, moved by {BY}: {text.decode(said)}")
        assert said == expected, "moved blocks must say what a prefill at the new positions says"
    print("same tokens as a prefill at the new positions; every other slot and all values as they were")


if __name__ == "__main__":
    main()
