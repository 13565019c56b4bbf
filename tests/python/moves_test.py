"""Moves of plain tensors, against rotations of complex numbers in float64. Needs torch alone."""

import unittest

import support  # noqa: F401  where the packages lie
import torch

import kvtransfer_torch as kvtransfer
from kvtransfer_torch import Rotary

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
        positions = torch.arange(7)
        refused = [
            ("32 bits", lambda layers: kvtransfer.shift_([*layers, good.double()], rotary, 1)),
            ("4 axes", lambda layers: kvtransfer.shift_([*layers, good[0]], rotary, 1)),
            ("no gradient", lambda layers: kvtransfer.shift_([*layers, good.clone().requires_grad_()], rotary, 1)),
            ("contiguous head_dim", lambda layers: kvtransfer.shift_([*layers, good.transpose(2, 3)], rotary, 1)),
            ("rotary_dim <= head_dim", lambda layers: kvtransfer.shift_([*layers, good[..., :8]], rotary, 1)),
            ("broadcasts", lambda layers: kvtransfer.remap_([*layers, good[:, :, :5]], rotary, positions, positions)),
            ("broadcasts", lambda layers: kvtransfer.remap_(layers, rotary, positions.float(), positions)),
            ("same rotary_dim", lambda layers: kvtransfer.reframe_(layers, rotary, positions, KINDS["interleaved"], positions)),
            ("three streams", lambda layers: kvtransfer.unrotate_(layers, three, positions)),
        ]
        for message, move in refused:
            with self.subTest(message):
                layers = bare_layers(2)
                before = [keys.clone() for keys in layers]
                with self.assertRaisesRegex(ValueError, message):
                    move(layers)
                self.assertTrue(all(torch.equal(a, b) for a, b in zip(layers, before)))


if __name__ == "__main__":
    unittest.main()
