"""A frame beside a transformers cache: what goes on from it equals the slow reference, or is refused and changes nothing."""

import copy
import unittest

from support import skip_without

skip_without("transformers")

import torch
from slow_model import SlowModel
from small_models import FAMILIES, causal_lm
from transformers import DynamicCache, StaticCache

import kvtransfer_torch as kvtransfer
from kvtransfer_torch import CacheFrame, FrameError, join_frames

kvtransfer.load()
torch.set_num_threads(1)
torch.manual_seed(0)
torch.set_grad_enabled(False)

IDS = torch.tensor([[7, 40, 13, 55, 9, 22, 31, 5, 48]])
MORE = torch.tensor([[17, 3, 50]])


def both(model, ids=IDS, **settings):
    """A frame and the reference that have read `ids`."""
    frame, slow = CacheFrame(model, **settings), SlowModel(model)
    frame.forward(ids)
    slow.forward(ids)
    return frame, slow


class FrameTest(unittest.TestCase):
    def assert_goes_on_as(self, frame, slow, ids=MORE):
        torch.testing.assert_close(frame.forward(ids).logits.double(), slow.forward(ids), rtol=0, atol=5e-5)

    def assert_refused(self, message, frame, change):
        """Refused, and nothing has changed: neither keys nor what the frame says of them."""
        before = [layer.keys.clone() for layer in frame.cache.layers if layer.is_initialized]
        said = frame.positions, frame.next_position, frame.roundings
        with self.assertRaisesRegex(ValueError, message):
            change()
        self.assertTrue(all(torch.equal(layer.keys, keys) for layer, keys in zip(frame.cache.layers, before)))
        self.assertTrue(all(torch.equal(a, b) for a, b in zip(frame.positions, said[0])))
        self.assertTrue(torch.equal(frame.next_position, said[1]) and frame.roundings == said[2])

    def test_positions_decide_what_these_models_say(self):
        """Else equal logits would say nothing."""
        for name in FAMILIES:
            model = causal_lm(name)
            frame, slow = both(model)
            frame.go_on_at_(10)
            off = (frame.forward(MORE).logits - slow.forward(MORE)).abs().max()
            self.assertGreater(float(off), 0.05, name)

    def test_budgets_of_every_layer_and_head(self):
        for name in FAMILIES:
            with self.subTest(name):
                frame, slow = both(causal_lm(name))
                chosen = []
                for layer, held in enumerate(each.shape[-1] for each in frame.positions):
                    chosen.append([[[0, held - 2, held - 1], [1, 2, held - 1]]] if layer == 1 else None)
                frame.keep_([None if each is None else torch.tensor(each) for each in chosen])
                slow.keep(chosen)
                self.assert_goes_on_as(frame, slow)
                frame.close_gap_()
                slow.close_gap()
                self.assert_goes_on_as(frame, slow)

    def test_windows_are_of_positions_after_an_eviction(self):
        """Gemma 3's local layers: transformers' own mask counts slots, and shows what is out of sight."""
        model = causal_lm("gemma3_text")
        frame, slow = both(model, IDS[:, :5])  # all within the window of 6
        frame.keep_(torch.tensor([0, 4]))
        slow.keep([[[[0, 4]] * 2]] * 3)
        plain = copy.deepcopy(DynamicCache(config=model.config))
        for own, layer in zip(plain.layers, frame.cache.layers):
            own.update(layer.keys.clone(), layer.values.clone())
        by_slot = model(MORE, position_ids=torch.arange(5, 8)[None], past_key_values=plain).logits
        exact = slow.forward(MORE)
        torch.testing.assert_close(frame.forward(MORE).logits.double(), exact, rtol=0, atol=5e-5)
        self.assertGreater(float((by_slot - exact).abs().max()), 0.05)
        self.assert_goes_on_as(frame, slow)

    def test_rows_with_padding_go_on_each_where_it_ends(self):
        for name in FAMILIES:
            with self.subTest(name):
                model = causal_lm(name)
                ids, mask = IDS.repeat(2, 1), torch.ones(2, 9, dtype=torch.int64)
                mask[1, :4] = 0
                frame, slow = CacheFrame(model), SlowModel(model)
                frame.forward(ids, attention_mask=mask)
                slow.forward(ids, mask)
                self.assertEqual(frame.next_position.tolist(), [9, 5])
                self.assert_goes_on_as(frame, slow, MORE.repeat(2, 1))
                frame.shift_(torch.tensor([3, 300]))
                self.assertEqual(frame.next_position.tolist(), [15, 308])
                frame.shift_(torch.tensor([297, 0]))
                slow.shift(300)
                self.assert_goes_on_as(frame, slow, MORE.repeat(2, 1))
                frame.close_gap_()
                slow.close_gap()
                self.assert_goes_on_as(frame, slow, MORE.repeat(2, 1))

    def test_a_cache_joined_to_itself_stands_there_twice(self):
        for name in FAMILIES:
            with self.subTest(name):
                model = causal_lm(name)
                (frame, slow), (_, same) = both(model, IDS[:, :8]), both(model, IDS[:, :8])
                before = frame.positions
                joined = join_frames(frame, frame)
                held = frame.positions[1].shape[-1]
                self.assertEqual(joined.positions[1][0, 0, held:].tolist(), list(range(8, 16)))
                slow.join(same)
                self.assert_goes_on_as(joined, slow)
                self.assertTrue(all(torch.equal(a, b) for a, b in zip(frame.positions, before)))
                self.assert_goes_on_as(frame, same)  # as it was

    def test_generate_says_what_the_reference_says(self):
        for name in FAMILIES:
            with self.subTest(name):
                frame, slow = both(causal_lm(name))
                slots = [torch.arange(1, each.shape[-1]) for each in frame.positions]
                frame.keep_(slots)
                slow.keep([[[each.tolist()] * 2] for each in slots])
                frame.shift_(50)
                slow.shift(50)
                said = frame.generate(MORE, max_new_tokens=8, do_sample=False)
                expected, ids = MORE[0].tolist(), MORE
                for _ in range(8):
                    ids = slow.forward(ids)[:, -1:].argmax(-1)
                    expected.append(int(ids))
                self.assertEqual(said[0].tolist(), expected)
                self.assertEqual(int(frame.next_position), 59 + 3 + 7)

    def test_generate_of_padded_rows_from_the_start(self):
        model = causal_lm("llama")
        mask = torch.tensor([[1] * 9, [0] * 4 + [1] * 5])
        ids = IDS.repeat(2, 1).masked_fill(mask == 0, 0)
        plain = model.generate(ids, attention_mask=mask, max_new_tokens=6, do_sample=False)
        self.assertTrue(torch.equal(CacheFrame(model).generate(ids, attention_mask=mask, max_new_tokens=6, do_sample=False), plain))

    def test_rotation_comes_off_once_and_goes_on_once(self):
        frame, slow = both(causal_lm("llama"))
        self.assert_refused("rotate_: keys: expected keys without rotation, got rotated keys", frame, frame.rotate_)
        frame.unrotate_()
        self.assert_refused("unrotate_: keys: expected rotated keys, got keys without rotation", frame, frame.unrotate_)
        self.assert_refused("shift_: keys: expected rotated keys", frame, lambda: frame.shift_(1))
        self.assert_refused("forward: keys: expected rotated ones", frame, lambda: frame.forward(MORE))
        frame.rotate_(torch.arange(30, 39))
        slow.remap([[[list(range(30, 39))] * 2]] * 3)
        self.assert_goes_on_as(frame, slow)

    def test_a_forward_pass_that_forgets_its_positions_is_refused(self):
        model = causal_lm("llama")
        frame, slow = both(model)
        frame.shift_(100)
        slow.shift(100)
        for forgetful in (
            lambda: model(MORE, past_key_values=frame.cache),
            lambda: model.generate(torch.cat([IDS, MORE], 1), past_key_values=frame.cache, max_new_tokens=2),
        ):
            self.assert_refused("frame.forward", frame, forgetful)
        self.assert_refused("go on at", frame, lambda: frame.forward(MORE, position_ids=torch.tensor([[9, 10, 11]])))
        frame.forward(MORE, position_ids=torch.tensor([[109, 110, 111]]))
        slow.forward(MORE)
        self.assert_goes_on_as(frame, slow)

    def test_what_somebody_else_changes_is_noticed(self):
        model = causal_lm("llama")
        rotary = kvtransfer.rotary_of(model)
        frame, _ = both(model)
        self.assert_refused("CacheFrame keeps its positions", frame, lambda: kvtransfer.shift_cache_(frame.cache, rotary, 1))
        self.assert_refused("CacheFrame keeps its positions", frame, lambda: kvtransfer.keep_slots_(frame.cache, torch.arange(3)))
        for name, change in {
            "moved": lambda layer: kvtransfer.shift_([layer.keys], rotary[0], 1),
            "grown": lambda layer: layer.update(layer.keys[:, :, :1], layer.values[:, :, :1]),
            "cut": lambda layer: layer.crop(-2),
            "replaced": lambda layer: setattr(layer, "keys", layer.keys.clone()),
        }.items():
            with self.subTest(name):
                frame, _ = both(model)
                change(frame.cache.layers[1])
                for use in (lambda: frame.forward(MORE), lambda: frame.shift_(1), frame.close_gap_, lambda: join_frames(frame)):
                    self.assert_refused("layer 1: expected the keys that the frame knows", frame, use)
        for change in (lambda: frame.cache.crop(-1), lambda: frame.cache.reorder_cache(torch.tensor([0])), frame.cache.reset):
            self.assert_refused("behind its frame's back", frame, change)

    def test_a_layer_that_is_gone_is_noticed(self):
        frame, _ = both(causal_lm("llama"))
        frame.cache.layers.pop()
        for use in (lambda: frame.forward(MORE), lambda: frame.shift_(1), lambda: join_frames(frame)):
            with self.assertRaisesRegex(FrameError, "layers: expected 3, got 2"):
                use()

    def test_a_model_that_was_changed_does_not_go_on_from_its_old_keys(self):
        def set_(module, name):
            module.weight = torch.nn.Parameter(getattr(module, name) + 0.1)

        for name, change in {
            "model.norm.weight": lambda model: model.model.norm.weight.mul_(1.5),
            "lm_head.weight": lambda model: model.lm_head.weight[5].add_(0.1),
            "model.layers.1.self_attn.k_proj.weight": lambda model: set_(model.model.layers[1].self_attn.k_proj, "weight"),
            "inv_freq": lambda model: model.model.rotary_emb.inv_freq.mul_(0.5),
            "weight": lambda model: model.half(),
            "layers.1.self_attn.scaling from 0.35.* to 1.0": lambda model: setattr(model.model.layers[1].self_attn, "scaling", 1.0),
            "norm.variance_epsilon": lambda model: setattr(model.model.norm, "variance_epsilon", 0.1),
            "mlp.extra": lambda model: model.model.layers[0].mlp.register_parameter("extra", torch.nn.Parameter(torch.ones(1))),
        }.items():
            with self.subTest(name):
                model = causal_lm("llama")
                frame, slow = both(model)
                moved = frame.copy()
                change(model)
                message = f"model: expected the weights that wrote the cached keys .*, got a change of .*{name}"
                for use in (
                    lambda: frame.forward(MORE),
                    lambda: frame.generate(MORE, max_new_tokens=2),
                    lambda: moved.forward(MORE),
                    lambda: join_frames(frame, frame),
                ):
                    with self.assertRaisesRegex(FrameError, message):
                        use()
                if name != "weight":
                    kvtransfer.CacheFrame(model).forward(IDS)  # a frame that begins with the model as it is now

    def test_what_changes_no_weight_is_no_change_of_a_model(self):
        model = causal_lm("llama")
        frame, slow = both(model)
        model.requires_grad_(False)
        model.train()
        model.eval()
        model.to(torch.float32)
        self.assert_goes_on_as(frame, slow)

    def test_an_error_is_one_line_whatever_is_quoted_in_it(self):
        error = FrameError("a.safetensors", "k\n", "é ▁\u2028", "\x1b[2J")
        self.assertEqual(str(error), r"a.safetensors: k\n: expected é ▁\u2028, got \x1b[2J")

    def test_codes_of_a_quantized_model_may_move_but_not_change(self):
        for count in (1, 5, 3 * 8192 + 5):
            with self.subTest(count):
                model = causal_lm("llama")
                codes = torch.nn.Parameter(torch.randint(-128, 128, (count,), dtype=torch.int8), requires_grad=False)
                model.model.layers[0].mlp.register_parameter("codes", codes)
                frame, slow = both(model)
                for _ in range(2):
                    codes.data = codes.data.clone()  # as bitsandbytes' first product does
                    self.assert_goes_on_as(frame, slow)
                changed = codes.data.clone()
                changed[count // 2] ^= 1
                for other in (changed, codes.data.roll(1) ^ codes.data.roll(2) ^ 1):
                    if not torch.equal(other, codes.data):
                        kept, codes.data = codes.data, other
                        with self.assertRaisesRegex(FrameError, "got a change of model.layers.0.mlp.codes"):
                            frame.forward(MORE)
                        codes.data = kept

    def test_values_may_be_edited_in_place_and_that_is_known(self):
        frame, _ = both(causal_lm("llama"))
        self.assertEqual(frame.edited_values, [])
        frame.cache.layers[1].values.mul_(0.5)
        frame.shift_(3)
        frame.keep_(torch.arange(4))
        self.assertEqual(frame.edited_values, [1])
        self.assertEqual(join_frames(frame, frame).edited_values, [1])
        self.assertEqual(frame.copy().edited_values, [1])

    def test_a_forward_pass_that_fails_leaves_nothing_in_the_cache(self):
        for name in FAMILIES:
            for has_read in (True, False):
                with self.subTest(name, has_read=has_read):
                    model = causal_lm(name)
                    frame, slow = both(model) if has_read else (CacheFrame(model), SlowModel(model))
                    calls = []

                    def interrupt(*_):
                        calls.append(None)
                        if len(calls) > 2:  # generate's third pass
                            raise KeyboardInterrupt

                    with self.assertRaises(IndexError):
                        frame.forward(torch.tensor([[999]]))
                    hook = model.model.layers[1].mlp.register_forward_pre_hook(interrupt)
                    with self.assertRaises(KeyboardInterrupt):
                        frame.generate(IDS, max_new_tokens=9)
                    hook.remove()
                    self.assertEqual(int(frame.next_position), 9 * has_read + 10)  # what was read whole is there
                    said = slow.forward(IDS)[0, -1].argmax().view(1, 1)
                    slow.forward(said)
                    self.assert_goes_on_as(frame, slow)

    def test_copies_that_would_lose_a_gradient_are_refused(self):
        model = causal_lm("llama")
        frame = CacheFrame(model)
        with torch.enable_grad():
            frame.forward(IDS)
        for copies in (frame.copy, lambda: join_frames(frame, frame)):
            self.assert_refused("no gradient, which copies would lose, got requires_grad", frame, copies)

    def test_a_row_of_padding_alone_begins_at_zero_whatever_is_moved_beside_it(self):
        model = causal_lm("llama")
        ids, mask = IDS.repeat(2, 1), torch.ones(2, 9, dtype=torch.int64)
        mask[1] = 0
        frame, slow = CacheFrame(model), SlowModel(model)
        frame.forward(ids, attention_mask=mask)
        slow.forward(ids, mask)
        frame.remap_(torch.arange(3, 12))
        slow.remap([[[list(range(3, 12))] * 2, [[0] * 9] * 2]] * 3)
        self.assertEqual(frame.next_position.tolist(), [12, 0])
        self.assert_goes_on_as(frame, slow, MORE.repeat(2, 1))
        cache = DynamicCache(config=model.config)
        model(ids, past_key_values=cache)
        self.assertEqual(CacheFrame.adopt(model, cache, torch.arange(9), valid=mask).next_position.tolist(), [9, 0])

    def test_an_attention_that_takes_no_mask_of_ours_is_refused_whenever_it_is_chosen(self):
        model = causal_lm("llama")
        frame, _ = both(model)
        model.config._attn_implementation_internal = "flash_attention_2"
        self.assert_refused("forward: attn_implementation: expected eager or sdpa", frame, lambda: frame.forward(MORE))

    def test_a_copied_cache_has_no_frame_to_read_it_by(self):
        model = causal_lm("llama")
        frame, slow = both(model)
        with self.assertRaisesRegex(FrameError, "without its frame"):
            model(MORE, past_key_values=copy.deepcopy(frame.cache))
        again = frame.copy()
        again.shift_(70)
        self.assert_goes_on_as(frame, slow)

    def test_what_cannot_be_right_is_refused_and_changes_nothing(self):
        model = causal_lm("gemma3_text")
        frame, _ = both(model)
        held = [each.shape[-1] for each in frame.positions]
        self.assertEqual(held, [5, 9, 5])
        good = [torch.arange(each) for each in held]
        for message, change in {
            "a list with one a layer": lambda: frame.keep_(torch.arange(3)),
            "ascending": lambda: frame.keep_([good[0], torch.tensor([1, 1]), good[2]]),
            "slot < 5": lambda: frame.keep_([good[0], good[1], torch.tensor([5])]),
            "of two axes it is not known": lambda: frame.remap_([good[0], good[1], torch.stack([good[2]] * 2)]),
            "ascend from slot to slot": lambda: frame.remap_([good[0], good[1].flip(0), good[2]]),
            "one for each of 3 layers": lambda: frame.remap_(good[:2]),
            "next_position": lambda: frame.remap_(good, next_position=8),
            r"position\| <= 16777216": lambda: frame.shift_(1 << 24),
            "int64": lambda: frame.shift_(0.5),
            "position: expected one behind the last key": lambda: frame.go_on_at_(8),
            "rows: expected batch=1": lambda: frame.forward(MORE.repeat(2, 1)),
            "new tokens alone": lambda: frame.forward(MORE, attention_mask=torch.ones(1, 12)),
            "padding in front": lambda: frame.forward(MORE, attention_mask=torch.tensor([[0, 1, 1]])),
            "0 for padding and 1 for tokens": lambda: frame.forward(MORE, attention_mask=torch.tensor([[0.0, 0.0, -1e9]])),
            "one token or more, got .1, 0.": lambda: frame.forward(MORE[:, :0]),
            "one token or more, got .3.": lambda: frame.forward(MORE[0]),
            "frame itself decides, got use_cache": lambda: frame.generate(MORE, use_cache=False),
            "frame itself decides, got position_ids": lambda: frame.generate(MORE, position_ids=MORE),
            "token_type_ids": lambda: frame.forward(MORE, token_type_ids=torch.zeros_like(MORE)),
            "one beam": lambda: frame.generate(MORE, num_beams=2, max_new_tokens=3),
        }.items():
            with self.subTest(message):
                if message == "one beam":
                    with self.assertRaises(FrameError):
                        change()
                else:
                    self.assert_refused(message, frame, change)

    def test_models_and_caches_that_a_frame_cannot_describe_are_refused(self):
        flash = causal_lm("llama")
        flash.config._attn_implementation_internal = "flash_attention_2"
        with self.assertRaisesRegex(FrameError, "eager or sdpa, got 'flash_attention_2'"):
            CacheFrame(flash)
        model, other = causal_lm("llama"), causal_lm("llama", seed=1)
        with self.assertRaisesRegex(FrameError, "model: expected one for all"):
            join_frames(both(model)[0], both(other)[0])
        with self.assertRaisesRegex(FrameError, "tokens, got an empty one"):
            join_frames(CacheFrame(model))
        cache = StaticCache(model.config, max_cache_len=16)
        model(IDS, past_key_values=cache)
        with self.assertRaisesRegex(FrameError, "DynamicCache"):
            CacheFrame.adopt(model, cache, positions=torch.arange(9))
        gemma, without_windows = causal_lm("gemma3_text"), DynamicCache()
        gemma(IDS, past_key_values=without_windows)
        with self.assertRaisesRegex(FrameError, "config=model.config"):
            CacheFrame.adopt(gemma, without_windows, positions=torch.arange(9))

    def test_a_cache_written_without_a_frame_is_adopted_with_its_positions(self):
        for name in FAMILIES:
            with self.subTest(name):
                model = causal_lm(name)
                cache, slow = DynamicCache(config=model.config), SlowModel(model)
                model(IDS, position_ids=torch.arange(200, 209)[None], past_key_values=cache)
                slow.forward(IDS, start=200)
                with self.assertRaisesRegex(ValueError, "seq=9"):
                    CacheFrame.adopt(model, cache, positions=torch.arange(5))
                frame = CacheFrame.adopt(model, cache, positions=torch.arange(200, 209))
                frame.shift_(-150)
                slow.shift(-150)
                self.assert_goes_on_as(frame, slow)

    def test_a_window_that_somebody_has_cut_is_not_adopted(self):
        model = causal_lm("mistral", sliding_window=6)  # every layer has the window, so that none tells of another
        for wrapped in (False, True):
            with self.subTest(wrapped=wrapped):
                cache = DynamicCache(config=model.config)
                ids = IDS if wrapped else IDS[:, :5]
                model(ids, past_key_values=cache)
                CacheFrame.adopt(model, copy.deepcopy(cache), positions=torch.arange(ids.shape[1]))
                for layer in cache.layers:  # alike in all, behind the cache's back
                    layer.keys, layer.values = layer.keys[:, :, 2:], layer.values[:, :, 2:]
                with self.assertRaisesRegex(FrameError, "adopt: layer 0: expected the last 5 of the"):
                    CacheFrame.adopt(model, cache, positions=torch.arange(ids.shape[1]))

    def test_frequencies_that_change_with_the_length_are_noticed(self):
        scaling = dict(rope_type="dynamic", factor=4.0, rope_theta=1e4)
        model = causal_lm("llama", max_position_embeddings=16, rope_parameters=scaling)
        frame = CacheFrame(model)
        frame.forward(IDS)
        frame.forward(MORE)  # at most 16
        self.assert_refused("reframe_ writes them anew", frame, lambda: frame.forward(torch.cat([MORE, MORE], 1)))
        frame.reframe_(18)
        self.assertTrue(all(a.equals(b) for a, b in zip(frame.rotary, kvtransfer.rotary_of(model, length=18))))
        frame.forward(torch.cat([MORE, MORE], 1))
        ids = torch.cat([IDS, MORE, MORE, MORE], 1)
        there = DynamicCache(config=model.config)
        model(ids, past_key_values=there)
        torch.testing.assert_close(frame.cache.layers[0].keys, there.layers[0].keys, rtol=1e-4, atol=1e-5)

    def test_a_frame_made_in_inference_mode_moves_outside_it(self):
        model = causal_lm("llama")
        with torch.inference_mode():
            frame, slow = both(model)
        frame.shift_(4)
        slow.shift(4)
        with torch.inference_mode():
            self.assert_goes_on_as(frame, slow)

    def test_roundings_do_not_add_up_unless_nothing_is_kept(self):
        model = causal_lm("llama").bfloat16()
        exact = CacheFrame(causal_lm("llama"))
        exact.forward(IDS)
        errors = {}
        for keep_written in (True, False):
            frame = CacheFrame(model, keep_written=keep_written)
            frame.forward(IDS)
            written = [layer.keys.float() for layer in frame.cache.layers]
            for _ in range(300):
                frame.shift_(1)
            self.assertEqual(frame.roundings, 1 if keep_written else 300)
            kvtransfer.shift_(written, frame.rotary, 300)
            pairs = zip(frame.cache.layers, written)
            errors[keep_written] = max(float((layer.keys.float() - keys).norm() / keys.norm()) for layer, keys in pairs)
            self.assertLess(errors[keep_written], frame.error_bound)
        self.assertLess(errors[True], 0.003)  # a bfloat16 is off by 0.002
        self.assertGreater(errors[False], 10 * errors[True])


if __name__ == "__main__":
    unittest.main()
