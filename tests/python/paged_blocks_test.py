"""Blocks of vLLM's tensors move as the same keys in one piece; nothing else changes. Needs torch alone."""

import unittest

import support  # noqa: F401  where the packages lie
import torch

import kvtransfer_torch as kvtransfer
from kvtransfer_torch import Rotary

kvtransfer.load()
torch.manual_seed(0)

NUM_BLOCKS, BLOCK_SIZE, KV_HEADS, HEAD_DIM = 9, 4, 2, 16
ROTARY = Rotary(1e4 ** (-torch.arange(0, HEAD_DIM, 2).float() / HEAD_DIM))
TABLE = [6, 1, 8, 3]


def paged(layout: str, kv_axis: int, dtype=torch.float32) -> torch.Tensor:
    """vLLM's tensor of one layer in the order of `layout`, of that shape."""
    inner = (BLOCK_SIZE, KV_HEADS) if layout == "NHD" else (KV_HEADS, BLOCK_SIZE)
    outer = (2, NUM_BLOCKS) if kv_axis == 0 else (NUM_BLOCKS, 2)
    return torch.randn(*outer, *inner, HEAD_DIM).to(dtype)


def in_one_piece(keys: torch.Tensor, seq_len: int) -> torch.Tensor:
    """[1, kv_heads, seq_len, head_dim] of the blocks in TABLE."""
    return keys[TABLE].transpose(0, 1).flatten(1, 2)[None, :, :seq_len].contiguous()


class PagedBlocksTest(unittest.TestCase):
    def test_only_the_filled_slots_of_owned_blocks_move(self):
        for layout in ("NHD", "HND"):
            for kv_axis in (0, 1):
                for seq_len in (1, 3, 4, 8, 13, 16):
                    for dtype in (torch.float32, torch.bfloat16):
                        with self.subTest(layout=layout, kv_axis=kv_axis, seq_len=seq_len, dtype=dtype):
                            self.check(layout, kv_axis, seq_len, dtype)

    def check(self, layout, kv_axis, seq_len, dtype):
        caches = [paged(layout, kv_axis, dtype) for _ in range(3)]
        layers = [kvtransfer.paged_keys(cache, layout, kv_axis) for cache in caches]
        rotary = [ROTARY, None, ROTARY]
        before = [cache.clone() for cache in caches]
        old = torch.randperm(100)[:seq_len]
        expected = [in_one_piece(keys, seq_len) for keys in layers]
        kvtransfer.shift_(expected, rotary, 31)
        kvtransfer.remap_(expected, rotary, old, old.flip(0))

        kvtransfer.shift_blocks_(layers, rotary, TABLE, seq_len, 31)
        kvtransfer.remap_blocks_(layers, rotary, TABLE, old, old.flip(0))

        for keys, value in zip(layers, expected):
            self.assertTrue(torch.equal(in_one_piece(keys, seq_len), value))
        for cache, keys, was in zip(caches, layers, before):
            owned = in_one_piece(kvtransfer.paged_keys(was, layout, kv_axis), seq_len)
            for token in range(seq_len):  # put back what was to change, and all is as before
                keys[TABLE[token // BLOCK_SIZE], :, token % BLOCK_SIZE] = owned[0, :, token]
            self.assertTrue(torch.equal(cache, was))

    def test_views_of_nhd_shape_over_memory_of_another_order(self):
        memory = paged("HND", 0)
        view = memory.permute(0, 1, 3, 2, 4)  # as vLLM hands it out
        expected = memory.clone()
        kvtransfer.shift_blocks_([kvtransfer.paged_keys(expected, "HND")], ROTARY, TABLE, 13, 5)
        kvtransfer.shift_blocks_([kvtransfer.paged_keys(view, "NHD")], ROTARY, TABLE, 13, 5)
        self.assertTrue(torch.equal(memory, expected))

    def test_a_refusal_for_the_last_block_leaves_the_full_ones(self):
        keys = kvtransfer.paged_keys(paged("NHD", 0))
        before = keys.clone()
        narrow = torch.randn(NUM_BLOCKS, BLOCK_SIZE, KV_HEADS, HEAD_DIM // 2).transpose(1, 2)
        with self.assertRaisesRegex(ValueError, "rotary_dim"):
            kvtransfer.shift_blocks_([keys, narrow], ROTARY, TABLE, 13, 5)
        with self.assertRaisesRegex(ValueError, "position"):
            kvtransfer.remap_blocks_([keys], ROTARY, TABLE, torch.arange(13), torch.arange(13) + (1 << 24))
        self.assertTrue(torch.equal(keys, before))

    def test_fp8_keys_are_refused_by_those_that_move_and_no_others(self):
        keys = kvtransfer.paged_keys(paged("NHD", 0, torch.float8_e4m3fn))
        far = torch.tensor([448.0, -448.0] * (HEAD_DIM // 2)).to(keys.dtype)
        keys[0, 0, 0] = keys[TABLE[-1], 0, 1] = far  # another sequence's block, and a slot behind the 13th token
        kvtransfer.shift_blocks_([keys], ROTARY, TABLE, 13, 1000)
        keys[TABLE[2], 1, 3] = far
        before = keys.view(torch.uint8).clone()
        with self.assertRaisesRegex(ValueError, "shift_blocks_: keys: expected rotated elements of at most 448 in float8_e4m3fn"):
            kvtransfer.shift_blocks_([keys], ROTARY, TABLE, 13, 1000)
        self.assertTrue(torch.equal(keys.view(torch.uint8), before))

    def test_tables_that_do_not_fit_are_refused(self):
        keys = [kvtransfer.paged_keys(paged("NHD", 0))]
        for table, message in (([6, 1], "blocks for 13 tokens"), ([6, 1, 6, 3], "each once"), ([6, 1, 9, 3], "block < 9")):
            with self.assertRaisesRegex(ValueError, message):
                kvtransfer.shift_blocks_(keys, ROTARY, table, 13, 5)
        for table, length, message in (
            (TABLE, -3, "seq_len: expected 0 tokens or more, got -3"),
            (TABLE, 12.5, "seq_len: expected integers, got 12.5"),
            ([6, 1.5, 0, 3], 13, "block_table: expected integers, got 1.5"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                kvtransfer.shift_blocks_(keys, ROTARY, table, length, 5)
        with self.assertRaisesRegex(ValueError, "expected 5 axes"):
            kvtransfer.paged_keys(torch.zeros(3, 9, 4, 2, 16))


if __name__ == "__main__":
    unittest.main()
