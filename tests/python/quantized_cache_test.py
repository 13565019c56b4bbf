"""Quantized caches of transformers: quantized_cache_test.py fp8|quanto|hqq, skipped where the backend is not installed."""

import sys
import unittest

from support import skip_without

BACKEND = sys.argv.pop() if len(sys.argv) > 1 else "fp8"
skip_without("transformers", *{"fp8": [], "quanto": ["optimum.quanto"], "hqq": ["hqq"]}[BACKEND])

import make_fixtures as fixtures  # of tests/rope
import torch
from transformers import QuantizedCache

import kvtransfer_torch as kvtransfer

kvtransfer.load()
torch.set_num_threads(1)

PREFILLED, AFTER = 40, 5  # tokens quantized in the first pass, and tokens that come singly


def model():
    """HQQ and quanto quantize groups of 64."""
    return fixtures.build("llama", dict(hidden_size=64, head_dim=64, num_key_value_heads=2), seed=1)[1]


@torch.no_grad()
def read(model, start: int, tokens: int = PREFILLED + AFTER):
    """A quantized cache of tokens from position `start` on."""
    cache = QuantizedCache(backend=BACKEND, config=model.config)
    ids = 3 + torch.arange(tokens)[None] % 29
    positions = torch.arange(start, start + tokens)[None]
    model(input_ids=ids[:, :PREFILLED], position_ids=positions[:, :PREFILLED], past_key_values=cache)
    for i in range(PREFILLED, tokens):
        model(input_ids=ids[:, i : i + 1], position_ids=positions[:, i : i + 1], past_key_values=cache)
    return cache


def error(ours, theirs) -> float:
    return max(float((a - b).norm() / b.norm()) for a, b in zip(ours, theirs))


class QuantizedCacheTest(unittest.TestCase):
    def test_moved_keys_are_off_by_about_two_quantizations(self):
        small = model()
        rotary = kvtransfer.rotary_of(small)
        cache = read(small, 0)
        exact = [keys.clone() for keys in kvtransfer.held_keys(cache)]
        kvtransfer.shift_(exact, rotary, 300)  # of what one quantization has left
        kvtransfer.shift_cache_(cache, rotary, 300)
        moved = kvtransfer.held_keys(cache)
        there = kvtransfer.held_keys(read(small, 300))
        one = error(exact, there)  # each is a quantization away from the model's keys
        self.assertGreater(one, 0)
        self.assertLess(error(moved, exact), one)  # what the second one adds
        self.assertLess(error(moved, there), 2 * one)
        self.assertEqual(cache.get_seq_length(), PREFILLED + AFTER)

    def test_the_residual_moves_without_quantization(self):
        if BACKEND == "fp8":
            self.skipTest("fp8 keeps no residual")
        small = model()
        rotary = kvtransfer.rotary_of(small)
        cache = read(small, 0)
        expected = [layer.keys.clone() for layer in cache.layers]
        self.assertEqual(expected[0].shape[2], AFTER)
        kvtransfer.shift_(expected, rotary, 300)
        kvtransfer.shift_cache_(cache, rotary, 300)
        for layer, keys in zip(cache.layers, expected):
            self.assertTrue(torch.equal(layer.keys, keys))

    def test_it_moves_before_there_is_a_residual_and_goes_on(self):
        small = model()
        cache = read(small, 0, tokens=PREFILLED)
        kvtransfer.shift_cache_(cache, kvtransfer.rotary_of(small), 300)
        with torch.no_grad():
            small(input_ids=torch.tensor([[5]]), position_ids=torch.tensor([[300 + PREFILLED]]), past_key_values=cache)
        self.assertEqual(kvtransfer.held_keys(cache)[0].shape[2], PREFILLED + 1)

    def test_a_waiting_beam_reordering_is_refused(self):
        if BACKEND == "fp8":
            self.skipTest("fp8 reorders at once")
        small = model()
        cache = read(small, 0)
        cache.reorder_cache(torch.tensor([0]))
        with self.assertRaisesRegex(ValueError, "reordering"):
            kvtransfer.shift_cache_(cache, kvtransfer.rotary_of(small), 1)


if __name__ == "__main__":
    unittest.main()
