"""Caches of transformers: dynamic, static and with sliding windows; filled slots move, as a prefill at the new positions."""

import unittest

from support import skip_without

skip_without("transformers")

import make_fixtures as fixtures  # of tests/rope
import torch
from transformers import DynamicCache, StaticCache

import kvtransfer_torch as kvtransfer

kvtransfer.load()
torch.set_num_threads(1)
torch.manual_seed(0)


def small(name="llama", **fields):
    model_type, given = fixtures.FAMILIES[name]
    return fixtures.build(model_type, given | fields, seed=1)[1]


@torch.no_grad()
def prefill(model, positions, cache=None, step=None, rows=1):
    """A cache of tokens at `positions` [seq] or [rows, seq], read `step` at a time."""
    positions = positions.expand(rows, -1)
    ids = 3 + torch.arange(positions.numel()).view(positions.shape) % 29
    cache = DynamicCache(config=model.config) if cache is None else cache
    for part, at in zip(ids.split(step or ids.shape[1], dim=1), positions.split(step or ids.shape[1], dim=1)):
        model(input_ids=part, position_ids=at, past_key_values=cache)
    return cache


class CacheTest(unittest.TestCase):
    def assert_same_keys(self, ours, theirs, tolerance=1e-4):
        for a, b in zip(kvtransfer.held_keys(ours), kvtransfer.held_keys(theirs), strict=True):
            self.assertLess(float((a - b).norm() / b.norm()), tolerance)

    def assert_goes_on_alike(self, model, ours, theirs, position):
        """The next token's hidden state is the same after both caches."""
        ids, at = torch.tensor([[5]]), torch.tensor([[position]])
        with torch.no_grad():
            a, b = (model(input_ids=ids, position_ids=at, past_key_values=c).last_hidden_state for c in (ours, theirs))
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)

    def test_dynamic_caches(self):
        for name in ("llama", "qwen2", "qwen3", "gemma3", "gpt_neox", "cohere2", "gptj"):
            with self.subTest(name):
                model = small(name)
                cache, there = prefill(model, torch.arange(9)), prefill(model, torch.arange(200, 209))
                values = [layer.values.clone() for layer in cache.layers]
                kvtransfer.shift_cache_(cache, kvtransfer.rotary_of(model), 200)
                self.assert_same_keys(cache, there)
                self.assertTrue(all(torch.equal(a.values, b) for a, b in zip(cache.layers, values)))
                self.assert_goes_on_alike(model, cache, there, 209)

    def test_static_caches_keep_their_unfilled_slots_and_addresses(self):
        for name in ("llama", "gemma3"):
            with self.subTest(name):
                model = small(name)
                caches = [StaticCache(model.config, max_cache_len=16) for _ in range(2)]
                cache = prefill(model, torch.arange(9), caches[0], step=4)
                there = prefill(model, torch.arange(200, 209), caches[1], step=4)
                for layer in cache.layers:
                    layer.keys[:, :, 9:] = 1e30  # what no one has written yet
                addresses = [layer.keys.data_ptr() for layer in cache.layers]
                kvtransfer.shift_cache_(cache, kvtransfer.rotary_of(model), 200)
                self.assertTrue(all(bool((layer.keys[:, :, 9:] == 1e30).all()) for layer in cache.layers))
                self.assertEqual(addresses, [layer.keys.data_ptr() for layer in cache.layers])
                self.assert_same_keys(cache, there)
                for layer in cache.layers:
                    layer.keys[:, :, 9:] = 0
                self.assert_goes_on_alike(model, cache, there, 209)

    def test_windows_that_have_dropped_tokens_move_what_they_hold(self):
        """Gemma 3's sliding layers hold the last tokens alone; a remap gives each the positions of those."""
        model = small("gemma3", sliding_window=6)
        old, new = torch.arange(20), torch.arange(50, 70)
        for make in (lambda: DynamicCache(config=model.config), lambda: StaticCache(model.config, max_cache_len=32)):
            for step in (20, 7, 1):
                cache, there = prefill(model, old, make(), step), prefill(model, new, make(), step)
                self.assertLess(cache.layers[0].keys.shape[2], 20)
                kvtransfer.remap_cache_(cache, kvtransfer.rotary_of(model), old, new)
                self.assert_same_keys(cache, there)
                self.assert_goes_on_alike(model, cache, there, 70)

    def test_layers_that_read_the_keys_of_others_are_passed_over(self):
        model = small("gemma4", num_kv_shared_layers=3, layer_types=["sliding_attention", "full_attention"] * 3)
        cache, there = prefill(model, torch.arange(9)), prefill(model, torch.arange(200, 209))
        self.assertEqual(len(kvtransfer.held_keys(cache)), 3)
        kvtransfer.shift_cache_(cache, kvtransfer.rotary_of(model), 200)
        self.assert_same_keys(cache, there)
        self.assert_goes_on_alike(model, cache, there, 209)

    def test_rows_of_other_positions(self):
        model = small()
        old = torch.stack([torch.arange(7), torch.arange(30, 37)])
        new = torch.stack([torch.arange(100, 107), torch.arange(7)])
        cache = prefill(model, old, rows=2)
        kvtransfer.remap_cache_(cache, kvtransfer.rotary_of(model), old[:, None], new[:, None])
        self.assert_same_keys(cache, prefill(model, new, rows=2))

    def test_length_dependent_types_are_reframed(self):
        """The first layer alone: under other frequencies the layers above read other hidden states."""
        for name in ("phi3 longrope", "llama dynamic"):
            model = small(name)
            old, new = torch.arange(9), torch.arange(150, 159)
            cache, written = prefill(model, old), kvtransfer.rotary_of(model)
            wanted = kvtransfer.rotary_of(model, length=159)
            self.assertFalse(written[0].rotates_like(wanted[0]))
            kvtransfer.reframe_cache_(cache, written, old, wanted, new)
            there = prefill(model, new)
            torch.testing.assert_close(cache.layers[0].keys, there.layers[0].keys, rtol=1e-4, atol=1e-5)

    def test_kept_slots_are_a_choice_of_every_head(self):
        model = small("llama", num_key_value_heads=2)
        cache = prefill(model, torch.arange(9))
        keys, values = cache.layers[0].keys, cache.layers[0].values
        slots = torch.tensor([[[0, 1, 8], [2, 5, 7]]])
        kvtransfer.keep_slots_(cache, slots)
        for head in range(2):
            self.assertTrue(torch.equal(cache.layers[0].keys[0, head], keys[0, head, slots[0, head]]))
            self.assertTrue(torch.equal(cache.layers[0].values[0, head], values[0, head, slots[0, head]]))
        self.assertEqual(cache.get_seq_length(), 3)

    def test_what_cannot_be_right_is_refused(self):
        model = small("gemma3", sliding_window=6)
        rotary, cache = kvtransfer.rotary_of(model), prefill(model, torch.arange(20))
        with self.assertRaisesRegex(ValueError, "seq=20"):
            kvtransfer.remap_cache_(cache, rotary, torch.arange(5), torch.arange(5))
        with self.assertRaisesRegex(ValueError, "all their tokens"):
            kvtransfer.keep_slots_(cache, torch.arange(4))
        with self.assertRaisesRegex(ValueError, "empty"):
            kvtransfer.shift_cache_(DynamicCache(config=model.config), rotary, 1)

    def test_what_is_no_cache_is_named(self):
        from transformers import EncoderDecoderCache

        rotary = kvtransfer.rotary_of(small())
        both = EncoderDecoderCache(DynamicCache(), DynamicCache())
        for name, given in {"tuple": ((), ()), "NoneType": None, "EncoderDecoderCache .its self_attention_cache is one.": both}.items():
            for use in (
                lambda: kvtransfer.shift_cache_(given, rotary, 1),
                lambda: kvtransfer.keep_slots_(given, torch.arange(1)),
                lambda: kvtransfer.held_keys(given),
            ):
                with self.assertRaisesRegex(ValueError, f"cache: expected a Cache of transformers, with layers, got {name}"):
                    use()

    def test_slots_that_do_not_fit_evict_nothing(self):
        model = small("llama", num_key_value_heads=2)
        for message, slots in {
            "ascending": torch.tensor([0, 2, 2]),
            "each once, 0 <= slot < 9": torch.tensor([3, 9]),
            r"\[kept\] or \[batch=1, kv_heads=2 or 1, kept\]": torch.tensor([[0, 1], [2, 3]]),
            "float32": torch.tensor([0.0]),
            "one for each of": [torch.arange(3)],
        }.items():
            cache = prefill(model, torch.arange(9))
            last_is_wrong = [torch.arange(4)] * (len(cache.layers) - 1) + [slots]
            with self.subTest(message), self.assertRaisesRegex(ValueError, message):
                kvtransfer.keep_slots_(cache, last_is_wrong if isinstance(slots, torch.Tensor) else slots)
            self.assertTrue(all(layer.keys.shape[2] == 9 for layer in cache.layers))

    def test_values_that_lie_among_the_keys_are_not_moved_with_them(self):
        model = small()
        cache = prefill(model, torch.arange(9))
        cache.layers[1].values = cache.layers[1].keys
        before = [layer.keys.clone() for layer in cache.layers]
        with self.assertRaisesRegex(ValueError, "values would move"):
            kvtransfer.shift_cache_(cache, kvtransfer.rotary_of(model), 1)
        self.assertTrue(all(torch.equal(layer.keys, keys) for layer, keys in zip(cache.layers, before)))

    def test_a_refusal_in_the_last_layer_leaves_the_first_where_it_was(self):
        model = small()
        cache = prefill(model, torch.arange(9))
        rotary = kvtransfer.rotary_of(model)
        rotary[-1] = kvtransfer.Rotary(torch.ones(200))
        before = [layer.keys.clone() for layer in cache.layers]
        with self.assertRaisesRegex(ValueError, "rotary_dim"):
            kvtransfer.shift_cache_(cache, rotary, 1)
        self.assertTrue(all(torch.equal(layer.keys, keys) for layer, keys in zip(cache.layers, before)))

    def test_offloaded_caches_are_refused(self):
        model = small()
        cache = prefill(model, torch.arange(9))
        cache.offloading = True
        with self.assertRaisesRegex(ValueError, "offloaded"):
            kvtransfer.shift_cache_(cache, kvtransfer.rotary_of(model), 1)

    def test_layers_that_keep_more_than_keys_are_refused(self):
        from transformers.cache_utils import LinearAttentionAndFullAttentionLayer

        cache = prefill(small(), torch.arange(9))
        layer = LinearAttentionAndFullAttentionLayer()
        layer.keys, layer.values, layer.is_initialized = cache.layers[0].keys, cache.layers[0].values, True
        cache.layers[1] = layer
        before = cache.layers[0].keys.clone()
        with self.assertRaisesRegex(TypeError, "LinearAttention"):
            kvtransfer.shift_cache_(cache, kvtransfer.rotary_of(small()), 1)
        self.assertTrue(torch.equal(cache.layers[0].keys, before))


if __name__ == "__main__":
    unittest.main()
