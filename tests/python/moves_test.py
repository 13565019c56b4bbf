"""Moves of plain tensors, against rotations of complex numbers in float64. Needs torch alone."""

import unittest

import support  # noqa: F401  where the packages lie
import torch
from torch.autograd import forward_ad

import kvtransfer_torch as kvtransfer
from kvtransfer_torch import Rotary
from kvtransfer_torch.overlap import share_memory

kvtransfer.load()
torch.manual_seed(0)

ROTARY_DIM = 16
INV_FREQ = 1e4 ** (-torch.arange(0, ROTARY_DIM, 2).float() / ROTARY_DIM)


def rotated(bare: torch.Tensor, rotary: Rotary, positions: torch.Tensor) -> torch.Tensor:
    """Keys [batch, kv_heads, seq, head_dim] as a model with `rotary` caches them."""
    window, rest = bare.double().split([ROTARY_DIM, bare.shape[-1] - ROTARY_DIM], dim=-1)
    pairs = window.unflatten(-1, (-1, 2) if rotary.interleaved else (2, -1))
    axis = -1 if rotary.interleaved else -2
    real, imaginary = pairs.unbind(axis)
    turns = torch.polar(
        torch.full((), rotary.attention_scaling).double(), positions[..., None].double() * rotary.inv_freq.double()
    )
    turned = torch.complex(real, imaginary) * turns
    return torch.cat([torch.stack([turned.real, turned.imag], axis).flatten(-2), rest], dim=-1).float()


def bare_layers(count=3, tokens=7, head_dim=24):
    return [torch.randn(2, 4, tokens, head_dim) for _ in range(count)]


KINDS = {
    "half-split": Rotary(INV_FREQ),
    "interleaved": Rotary(INV_FREQ, interleaved=True),
    "YaRN's scaling": Rotary(INV_FREQ / 3, attention_scaling=1.3),
}


class MovesTest(unittest.TestCase):
    def assert_close(self, layers, expected):
        for keys, value in zip(layers, expected, strict=True):
            torch.testing.assert_close(keys, value, rtol=1e-5, atol=2e-6)

    def test_shift_and_remap_equal_a_rotation_from_scratch(self):
        old = torch.randint(0, 5000, (2, 4, 7))  # of every head
        for name, rotary in KINDS.items():
            with self.subTest(name):
                bare = bare_layers()
                layers = [rotated(keys, rotary, old) for keys in bare]
                kvtransfer.shift_(layers, rotary, 40)
                self.assert_close(layers, [rotated(keys, rotary, old + 40) for keys in bare])
                new = torch.arange(7)
                kvtransfer.remap_(layers, rotary, old + 40, new)
                self.assert_close(layers, [rotated(keys, rotary, new) for keys in bare])

    def test_scaling_comes_off_and_goes_on_once(self):
        rotary, bare = KINDS["YaRN's scaling"], bare_layers()
        layers = [rotated(keys, rotary, torch.arange(7)) for keys in bare]
        for _ in range(5):
            kvtransfer.shift_(layers, rotary, 3)
        kvtransfer.unrotate_(layers, rotary, torch.arange(15, 22))
        self.assert_close(layers, bare)
        kvtransfer.rotate_(layers, rotary, torch.arange(7))
        self.assert_close(layers, [rotated(keys, rotary, torch.arange(7)) for keys in bare])

    def test_reframe_changes_frequencies_and_scaling(self):
        written, wanted, bare = KINDS["half-split"], KINDS["YaRN's scaling"], bare_layers()
        layers = [rotated(keys, written, torch.arange(7)) for keys in bare]
        kvtransfer.reframe_(layers, written, torch.arange(7), wanted, torch.arange(100, 107))
        self.assert_close(layers, [rotated(keys, wanted, torch.arange(100, 107)) for keys in bare])

    def test_layers_may_differ_in_embedding_shape_and_positions(self):
        kinds = [KINDS["half-split"], None, KINDS["half-split"], KINDS["YaRN's scaling"]]
        bare = bare_layers(2) + bare_layers(2, tokens=5, head_dim=32)
        old = [torch.arange(7), torch.arange(7), torch.arange(2, 7), torch.arange(2, 7)]
        layers = [keys.clone() if rotary is None else rotated(keys, rotary, p) for keys, rotary, p in zip(bare, kinds, old)]
        kvtransfer.remap_(layers, kinds, old, [p + 9 for p in old])
        expected = [keys if rotary is None else rotated(keys, rotary, p + 9) for keys, rotary, p in zip(bare, kinds, old)]
        self.assertTrue(torch.equal(layers[1], bare[1]))
        self.assert_close(layers, expected)

    def test_strides_are_free_and_what_lies_between_stays(self):
        whole = torch.randn(2, 12, 4, 24)
        before = whole.clone()
        keys = whole[:, 3:10].transpose(1, 2)
        expected = keys.clone()
        kvtransfer.shift_([keys], KINDS["half-split"], 5)
        kvtransfer.shift_([expected], KINDS["half-split"], 5)
        self.assertTrue(torch.equal(keys, expected))
        self.assertTrue(torch.equal(whole[:, :3], before[:, :3]) and torch.equal(whole[:, 10:], before[:, 10:]))

    def test_what_cannot_be_right_is_refused_before_anything_changes(self):
        rotary = KINDS["half-split"]
        good, three = bare_layers(1)[0], Rotary(INV_FREQ, streams=3)
        positions, rows_or_heads = torch.arange(7), torch.arange(7).expand(2, -1)
        overlapping = good.as_strided((2, 4, 7, 24), (7 * 24, 24, 23, 1))
        refused = [
            ("32 bits", lambda layers: kvtransfer.shift_([*layers, good.double()], rotary, 1)),
            ("4 axes", lambda layers: kvtransfer.shift_([*layers, good[0]], rotary, 1)),
            ("no gradient", lambda layers: kvtransfer.shift_([*layers, good.clone().requires_grad_()], rotary, 1)),
            ("a dual with a tangent", lambda layers: kvtransfer.shift_([*layers, forward_ad.make_dual(good, good)], rotary, 1)),
            ("contiguous head_dim", lambda layers: kvtransfer.shift_([*layers, good.transpose(2, 3)], rotary, 1)),
            ("rotary_dim <= head_dim", lambda layers: kvtransfer.shift_([*layers, good[..., :8]], rotary, 1)),
            ("seq=5", lambda layers: kvtransfer.remap_([*layers, good[:, :, :5]], rotary, positions, positions)),
            ("float32", lambda layers: kvtransfer.remap_(layers, rotary, positions.float(), positions)),
            ("same rotary_dim", lambda layers: kvtransfer.reframe_(layers, rotary, positions, KINDS["interleaved"], positions)),
            ("three streams", lambda layers: kvtransfer.unrotate_(layers, three, positions)),
            ("not known which is meant", lambda layers: kvtransfer.remap_(layers, rotary, rows_or_heads, positions)),
            ("positions: expected numbers", lambda layers: kvtransfer.remap_(layers, rotary, positions.to("meta"), positions)),
            ("expected a tensor", lambda layers: kvtransfer.remap_(layers, rotary, list(range(len(layers))), positions)),
            ("one for each of 2 layers", lambda layers: kvtransfer.remap_(layers, rotary, [positions] * 3, positions)),
            ("one for each of 2 layers", lambda layers: kvtransfer.shift_(layers, [rotary], 1)),
            (r"\|position\| <= 16777216", lambda layers: kvtransfer.remap_(layers, rotary, positions, positions + (1 << 24))),
            ("delta: expected at most", lambda layers: kvtransfer.shift_(layers, rotary, 1 << 40)),
            ("delta: expected an integer", lambda layers: kvtransfer.shift_(layers, rotary, 1.0)),
            ("meta", lambda layers: kvtransfer.shift_([*layers, good.to("meta")], rotary, 1)),
            ("place of its own", lambda layers: kvtransfer.shift_([*layers, overlapping], rotary, 1)),
            ("expected a Rotary", lambda layers: kvtransfer.shift_(layers, INV_FREQ, 1)),
        ]
        for message, move in refused:
            with self.subTest(message):
                layers = bare_layers(2)
                before = [keys.clone() for keys in layers]
                with forward_ad.dual_level(), self.assertRaisesRegex(ValueError, message):
                    move(layers)
                self.assertTrue(all(torch.equal(a, b) for a, b in zip(layers, before)))

    def test_fp8_keys_that_would_outgrow_their_type_are_refused_before_anything_changes(self):
        """As by the C++ library, in its words; the kernel alone rounds them to the largest number."""
        words = r"expected rotated elements of at most {} in {} \(quantize the cache again with a larger scale\), got \d"
        for name, largest in (("float8_e4m3fn", 448), ("float8_e5m2", 57344)):
            for kind, rotary in KINDS.items():
                with self.subTest(name, kind=kind):
                    bare = [keys.to(getattr(torch, name)) for keys in bare_layers(2)]
                    moved = [keys.clone() for keys in bare]
                    kvtransfer.shift_(moved, rotary, 1000)
                    exact = [keys.float() for keys in bare]
                    kvtransfer.shift_(exact, rotary, 1000)
                    for ours, theirs in zip(moved, exact):
                        self.assertTrue(torch.equal(ours.float(), theirs.to(ours.dtype).float()))
                    bare[1][1, 2, 3] = torch.tensor([largest, -largest] * 12).to(bare[1].dtype)
                    before = [keys.view(torch.uint8).clone() for keys in bare]
                    zeros = torch.zeros(7, dtype=torch.int64)
                    for move in (
                        lambda: kvtransfer.shift_(bare, rotary, 1000),
                        lambda: kvtransfer.remap_(bare, rotary, zeros, torch.arange(7) + 1000),
                        lambda: kvtransfer.reframe_(bare, rotary, zeros, rotary, torch.arange(7) + 1000),
                    ):
                        with self.assertRaisesRegex(ValueError, "keys: " + words.format(largest, name)):
                            move()
                    self.assertTrue(all(torch.equal(keys.view(torch.uint8), was) for keys, was in zip(bare, before)))

    def test_a_scaling_that_takes_fp8_keys_out_of_their_type_is_refused(self):
        keys = torch.full((1, 1, 2, 24), 400.0).to(torch.float8_e4m3fn)
        with self.assertRaisesRegex(ValueError, "rotate_: keys: expected rotated elements of at most 448 .*, got 499.2$"):
            kvtransfer.rotate_([keys], KINDS["YaRN's scaling"], torch.zeros(2, dtype=torch.int64))

    def test_a_layer_given_twice_moves_once(self):
        """As one whose keys another layer reads; by value the same rotation, whatever objects say so."""
        rotary, again = KINDS["half-split"], Rotary(INV_FREQ.clone())
        keys, other = bare_layers(2)
        expected = [keys.clone(), other.clone()]
        kvtransfer.remap_(expected, rotary, torch.arange(7), torch.arange(9, 16))
        layers, rotaries = [keys, other, keys.view_as(keys)], [rotary, rotary, again]
        kvtransfer.remap_(layers, rotaries, [torch.arange(7) for _ in layers], [torch.arange(9, 16) for _ in layers])
        self.assertTrue(torch.equal(keys, expected[0]) and torch.equal(other, expected[1]))

    def test_keys_that_would_turn_twice_are_refused(self):
        rotary, other = KINDS["half-split"], KINDS["interleaved"]
        whole = torch.randn(2, 4, 9, 24)
        twice = {
            "one tensor under two rotations in layers 0 and 1": ([whole, whole], [rotary, other]),
            "shared memory in layers 0 and 2": ([whole[:, :, :5], torch.randn(2, 4, 5, 24), whole[:, :, 4:]], rotary),
            "shared memory in layers 0 and 1": ([whole, whole[:, 1:2]], rotary),
        }
        for message, (layers, rotaries) in twice.items():
            before = whole.clone()
            with self.assertRaisesRegex(ValueError, message):
                kvtransfer.shift_(layers, rotaries, 3)
            self.assertTrue(torch.equal(whole, before))

    def test_layers_that_interleave_in_one_tensor_are_apart(self):
        rotary, whole = KINDS["half-split"], torch.randn(2, 4, 7, 3, 24)
        expected = [whole[:, :, :, layer].clone() for layer in range(3)]
        kvtransfer.shift_(expected, rotary, 3)
        kvtransfer.shift_([whole[:, :, :, layer] for layer in range(3)], rotary, 3)
        self.assertTrue(all(torch.equal(whole[:, :, :, layer], expected[layer]) for layer in range(3)))

    def test_memory_is_shared_where_some_element_is(self):
        """Against the addresses of all elements."""
        generator = torch.Generator().manual_seed(1)
        random = lambda high: int(torch.randint(high, (), generator=generator))  # noqa: E731
        storage, seen = torch.zeros(4096), {True: 0, False: 0}

        def addresses(view):
            index = torch.arange(4096).as_strided(view.shape, view.stride(), view.storage_offset())
            return set(index.flatten().tolist())

        for _ in range(2000):
            views = []
            for _ in range(2):
                shape = [1 + random(4) for _ in range(4)]
                strides = [random(60), random(30), random(12), 1 + random(2)]
                views.append(storage.as_strided(shape, strides, random(300)))
            shares = bool(addresses(views[0]) & addresses(views[1]))
            self.assertEqual(share_memory(*views), shares, [(v.shape, v.stride(), v.storage_offset()) for v in views])
            seen[shares] += 1
        self.assertGreater(min(seen.values()), 100)

    def test_frequencies_that_no_model_could_rotate_by_are_refused(self):
        broken = INV_FREQ.clone()
        broken[3] = float("nan")
        for message, make in {
            "finite": lambda: Rotary(broken),
            "meta": lambda: Rotary(INV_FREQ.to("meta")),
            "no gradient": lambda: Rotary(INV_FREQ.clone().requires_grad_()),
            "float64": lambda: Rotary(INV_FREQ.double()),
            "positive": lambda: Rotary(INV_FREQ, attention_scaling=float("inf")),
        }.items():
            with self.assertRaisesRegex(ValueError, message):
                make()

    def test_frequencies_are_a_copy_that_nobody_else_changes(self):
        given = INV_FREQ.clone()
        rotary = Rotary(given)
        given.zero_()
        self.assertTrue(torch.equal(rotary.inv_freq, INV_FREQ))


if __name__ == "__main__":
    unittest.main()
