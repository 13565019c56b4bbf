"""The operators as torch sees them: opcheck, fake tensors, torch.compile, gradients; on CUDA also graphs and launches."""

import unittest

import support  # noqa: F401  where the packages lie
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.library import opcheck

from kvtransfer_torch import library

torch.ops.load_library(library.find())  # as it is: kvtransfer_torch.load() puts another fake in place of one
operators = torch.ops.kvtransfer
torch.compiler.config.force_disable_caches = True  # of graphs that were compiled for an older library

EVERY_CHECK = (
    "test_schema",
    "test_autograd_registration",
    "test_faketensor",
    "test_aot_dispatch_static",
    "test_aot_dispatch_dynamic",
)
# What runs a fake operator against a real one does not know of tables on the CPU beside keys on a GPU.
CHECKS = {"cpu": EVERY_CHECK, "cuda": EVERY_CHECK[:2]}
DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()

INV_FREQ = 1e4 ** (-torch.arange(0, 64, 2).float() / 64)
FIXED = (None, 1.0, 0, False, False)  # stream_of, gain, window_offset, interleaved, model_faithful
SHIFT = (None, None, 7, None, INV_FREQ, *FIXED)


def layers(device="cpu", count=2, rows=3, tokens=9, dtype=torch.float32):
    return [torch.randn(rows, 4, tokens, 64, device=device).to(dtype) for _ in range(count)]


def remap(device="cpu", rows=1, tokens=9):
    """What rotates `rows` rows of tokens, each from a place of its own."""
    old = torch.randint(0, 1 << 20, (rows, 1, tokens), device=device)
    return (old, old + 12345, 0, INV_FREQ, INV_FREQ, *FIXED)


def quantized(device="cpu", ends=(5, 9)):
    """Per-channel codes of 8 bits of two layers, in groups that end so: what rotate_quantized_keys_ takes before the arguments of a rotation."""
    codes = [torch.randint(0, 256, (1, 4, ends[-1], 64), dtype=torch.uint8, device=device) for _ in range(2)]
    scales = [torch.rand(1, 4, len(ends), 64, device=device) for _ in codes]
    minimums = [-scale for scale in scales]
    errors = [torch.zeros_like(scale) for scale in scales]
    held = torch.ones(1, 1, ends[-1], dtype=torch.bool, device=device)
    return codes, scales, minimums, errors, torch.tensor(ends, device=device), held, 8


def key_layouts():
    """Keys [3, 4, 9, 64] of every kind of strides."""
    return {
        "contiguous": torch.randn(3, 4, 9, 64),
        "tokens before heads": torch.randn(3, 9, 4, 64).transpose(1, 2),
        "head_dim not contiguous": torch.randn(3, 4, 64, 9).transpose(2, 3),
        "slots of a longer cache": torch.randn(3, 4, 20, 64)[:, :, :9],
        "one row for all": torch.randn(1, 4, 9, 64).expand(3, -1, -1, -1),
    }


class OpcheckTest(unittest.TestCase):
    def check(self, operator, arguments, device="cpu"):
        opcheck(operator.default, arguments, test_utils=CHECKS[device])

    def test_turn_in_place(self):
        for device in DEVICES:
            for dtype in (torch.float32, torch.bfloat16):
                for given in (remap(device), SHIFT):
                    with self.subTest(device=device, dtype=dtype):
                        self.check(operators.rotate_keys_, (layers(device, dtype=dtype), *given), device)

    def test_turned_copies(self):
        for name, keys in key_layouts().items():
            for given in (remap(), SHIFT):
                with self.subTest(name):
                    self.check(operators.rotate_keys, ([keys], *given))

    def test_turned_copies_with_gradients(self):
        for device in DEVICES:
            some = layers(device)
            some[1].requires_grad_()
            self.check(operators.rotate_keys, ([key.requires_grad_() for key in layers(device)], *remap(device)), device)
            self.check(operators.rotate_keys, (some, *SHIFT), device)

    def test_rotation_of_some_blocks(self):
        for device in DEVICES:
            rows = torch.tensor([5, 1], device=device)
            self.check(operators.rotate_blocks_, (layers(device, rows=8), rows, *remap(device, rows=2)), device)
            self.check(operators.rotate_blocks_, (layers(device, rows=8), rows, *SHIFT), device)

    def test_turn_of_quantized_keys(self):
        for device in DEVICES:
            for given in (remap(device), SHIFT):
                self.check(operators.rotate_quantized_keys_, (*quantized(device), *given), device)

    def test_copied_slots(self):
        for device in DEVICES:
            runs = torch.tensor([[0, 9, 4], [10, 2, 3], [20, -1, 2]], device=device)
            self.check(operators.copy_slots_, (layers(device), layers(device), runs), device)
            self.check(operators.copy_slots_, (layers(device), layers(device), None), device)

    def test_converted_pairing(self):
        for device in DEVICES:
            for to_interleaved in (True, False):
                self.check(operators.convert_pairing_, (layers(device), 0, 64, to_interleaved), device)


class FakeTensorTest(unittest.TestCase):
    def test_fake_copies_have_the_strides_of_real_ones(self):
        for name, keys in key_layouts().items():
            real = operators.rotate_keys([keys], *SHIFT)[0]
            with FakeTensorMode(allow_non_fake_inputs=True) as mode:
                fake = operators.rotate_keys([mode.from_tensor(keys)], *SHIFT)[0]
            self.assertEqual((fake.shape, fake.stride()), (real.shape, real.stride()), name)


def compiled(function, backend="aot_eager"):
    """Everything of torch.compile but Inductor's code, which takes a C++ compiler tens of seconds."""
    torch._dynamo.reset()
    return torch.compile(function, fullgraph=True, backend=backend)


class CompilationTest(unittest.TestCase):

    def test_all_operators_in_one_graph(self):
        given, of_rows = remap(rows=3), remap(rows=2)
        rows, runs = torch.tensor([2, 0]), torch.tensor([[0, 9, 4]])

        def moved(keys):
            copy = keys + 1
            operators.rotate_keys_([copy], *given)
            operators.rotate_blocks_([copy], rows, *of_rows)
            operators.convert_pairing_([copy], 0, 64, True)
            operators.copy_slots_([copy], [keys], runs)
            return copy + operators.rotate_keys([keys], *given)[0]

        keys = torch.randn(3, 4, 9, 64)
        self.assertTrue(torch.equal(compiled(moved)(keys), moved(keys)))

    def test_inductor_meets_the_strides_that_it_expects(self):
        def moved(keys):
            return operators.rotate_keys([keys], *SHIFT)[0]

        for name, keys in key_layouts().items():
            with self.subTest(name):
                self.assertTrue(torch.equal(compiled(moved, "inductor")(keys), moved(keys)))

    def test_gradient_through_a_compiled_turn(self):
        def loss(keys):
            return operators.rotate_keys([keys], *SHIFT)[0].square().mul(torch.arange(64)).sum()

        keys = torch.randn(1, 4, 9, 64, requires_grad=True)
        (expected,) = torch.autograd.grad(loss(keys), keys)
        (got,) = torch.autograd.grad(compiled(loss)(keys), keys)
        torch.testing.assert_close(got, expected)


class GradientTest(unittest.TestCase):
    def test_the_gradient_is_turned_back(self):
        keys, upstream = layers(count=1)[0].requires_grad_(), torch.randn(3, 4, 9, 64)
        operators.rotate_keys([keys], *SHIFT)[0].backward(upstream)
        back = operators.rotate_keys([upstream], None, None, -7, None, INV_FREQ, *FIXED)[0]
        torch.testing.assert_close(keys.grad, back)

    def test_keys_of_inference_mode_move_within_it(self):
        with torch.inference_mode():
            keys = layers()
            expected = operators.rotate_keys(keys, *SHIFT)
            operators.rotate_keys_(keys, *SHIFT)
        torch.testing.assert_close(keys, expected)
        with self.assertRaisesRegex(RuntimeError, "outside InferenceMode"):  # as torch's own operations
            operators.rotate_keys_(keys, *SHIFT)

    def test_autograd_notices_what_changes_in_place(self):
        keys = layers(count=1)
        loss = (keys[0] * torch.ones((), requires_grad=True)).sum()
        operators.rotate_keys_(keys, *SHIFT)
        with self.assertRaisesRegex(RuntimeError, "modified by an inplace operation"):
            loss.backward()

    def test_in_place_operators_refuse_keys_that_need_a_gradient(self):
        keys = [key.requires_grad_() for key in layers()]
        for operator, given in (
            (operators.rotate_keys_, SHIFT),
            (operators.rotate_blocks_, (torch.tensor([0]), *SHIFT)),
            (operators.convert_pairing_, (0, 64, True)),
            (operators.copy_slots_, (layers(), None)),
        ):
            with self.assertRaisesRegex(RuntimeError, "need no gradient"):
                operator(keys, *given)


    def test_positions_and_frequencies_changed_before_the_gradient_is_asked_for_are_noticed(self):
        for changed in ("from_positions", "to_positions", "from_inv_freq", "to_inv_freq"):
            with self.subTest(changed):
                keys = layers(count=1)[0].requires_grad_()
                old = torch.arange(9)
                given = dict(from_positions=old, to_positions=old + 5, from_inv_freq=INV_FREQ.clone(), to_inv_freq=INV_FREQ.clone())
                rotated = operators.rotate_keys([keys], old, given["to_positions"], 0, given["from_inv_freq"], given["to_inv_freq"], *FIXED)
                given[changed] += 1
                with self.assertRaisesRegex(RuntimeError, "modified by an inplace operation"):
                    rotated[0].sum().backward()

    def test_gradients_of_gradients_are_rotated_too(self):
        def rotated(keys):
            return operators.rotate_keys([keys], *remap_of_two)[0]

        remap_of_two = (torch.tensor([3, 9]), torch.tensor([40, 2]), 0, INV_FREQ[:2], INV_FREQ[:2], *FIXED)
        keys = torch.randn(1, 1, 2, 4, requires_grad=True)
        (first,) = torch.autograd.grad(rotated(keys).pow(3).sum(), keys, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), keys)
        jacobian = torch.autograd.functional.jacobian(lambda flat: rotated(flat.view_as(keys)).flatten(), keys.detach().flatten())
        exact = jacobian.T @ (6 * rotated(keys).detach().flatten() * (jacobian @ torch.ones(8)))
        torch.testing.assert_close(second.flatten(), exact, rtol=1e-4, atol=1e-4)

    def test_frequencies_that_want_a_gradient_are_refused(self):
        wanting = INV_FREQ.clone().requires_grad_()
        positions = torch.arange(9)
        for given in ((None, None, 7, None, wanting, *FIXED), (positions, positions + 1, 0, wanting, INV_FREQ, *FIXED)):
            for refused in (
                lambda: operators.rotate_keys([layers()[0].requires_grad_()], *given),
                lambda: operators.rotate_keys(layers(), *given),
                lambda: operators.rotate_keys_(layers(), *given),
                lambda: operators.rotate_blocks_(layers(), torch.arange(3), *given),
                lambda: operators.rotate_quantized_keys_(*quantized(), *given),
            ):
                with self.assertRaisesRegex(RuntimeError, "inv_freq: expected frequencies that need no gradient"):
                    refused()
        with torch.no_grad():  # then nobody asks
            operators.rotate_keys_(layers(), None, None, 7, None, wanting, *FIXED)

    def test_what_would_reach_past_the_keys_or_turn_one_twice_is_refused(self):
        given = dict(from_positions=None, to_positions=None, from_inv_freq=None, to_inv_freq=INV_FREQ, stream_of=None, gain=1.0)
        shift = dict(given, delta=7, window_offset=0, interleaved=False, model_faithful=False)
        head_dim = layers()[0].shape[3]
        for change, message in (
            *(({"window_offset": far}, "rotary window: expected elements within") for far in (2**63 - 4, 2**63 - 1, -1, head_dim)),
            *(({"delta": far}, "delta: expected at most 33554432 either way") for far in (2**63 - 1, -(2**63), 2**31)),
            ({"to_inv_freq": INV_FREQ / 0}, "to_inv_freq: expected finite numbers, got inf"),
        ):
            with self.subTest(str(change)):
                keys, arguments = layers(), shift | change
                before = [key.clone() for key in keys]
                for refused in (
                    lambda: operators.rotate_keys_(keys, **arguments),
                    lambda: operators.rotate_keys(keys, **arguments),
                    lambda: operators.rotate_blocks_(keys, torch.arange(1), **arguments),
                ):
                    with self.assertRaisesRegex(RuntimeError, message):
                        refused()
                self.assertTrue(all(torch.equal(key, was) for key, was in zip(keys, before)))
        with self.assertRaisesRegex(RuntimeError, "rotary window"):
            operators.convert_pairing_(layers(), 2**63 - 4, 64, True)
        for blocks in ([1, 0, 1], [3], [-1]):
            with self.assertRaisesRegex(RuntimeError, "blocks: expected 0 <= block < 3, each once"):
                operators.rotate_blocks_(layers(rows=3), torch.tensor(blocks), **shift)

    def test_positions_that_no_angle_is_exact_for_are_refused(self):
        for far in (2**24 + 1, -(2**24) - 1, 2**31, 2**63 - 1, -(2**63)):
            positions = torch.arange(9)
            positions[4] = far
            for old, new in ((positions, torch.arange(9)), (torch.arange(9), positions), (None, positions), (positions, None)):
                keys = layers()
                before = [key.clone() for key in keys]
                given = (old, new, 0, None if old is None else INV_FREQ, None if new is None else INV_FREQ, *FIXED)
                with self.subTest(far=far, old=old, new=new):
                    for refused in (
                        lambda: operators.rotate_keys_(keys, *given),
                        lambda: operators.rotate_keys(keys, *given),
                        lambda: operators.rotate_blocks_(keys, torch.arange(3), *given),
                        lambda: operators.rotate_quantized_keys_(*quantized(), *given),
                    ):
                        with self.assertRaisesRegex(RuntimeError, "expected at most 16777216 from 0"):
                            refused()
                    self.assertTrue(all(torch.equal(key, was) for key, was in zip(keys, before)))
        at_the_end = torch.full((9,), 2**24)
        operators.rotate_keys_(layers(), None, at_the_end, 0, None, INV_FREQ, *FIXED)

    def test_layers_that_overlap_are_refused_and_those_that_interleave_are_not(self):
        tokens = torch.randn(1, 4, 9, 64)
        parts = lambda *starts: [tokens[:, :, start : start + 6 : 2] for start in starts]  # noqa: E731
        for overlapping in ([tokens, tokens], [tokens[:, :, :5], tokens[:, :, 4:]], parts(0, 1, 2)):
            for refused in (
                lambda: operators.rotate_keys_(overlapping, *SHIFT),
                lambda: operators.rotate_blocks_(overlapping, torch.arange(1), *SHIFT),
                lambda: operators.convert_pairing_(overlapping, 0, 64, True),
            ):
                with self.assertRaisesRegex(RuntimeError, "layers that share no memory, got layers . and . that overlap"):
                    refused()
        codes, scales, minimums, errors, *rest = quantized()
        for twice in (
            ([codes[0]] * 2, scales, minimums, errors),
            (codes, [scales[0]] * 2, minimums, errors),
            (codes, scales, scales, errors),
            (codes, scales, minimums, [minimums[1], errors[1]]),
        ):
            with self.assertRaisesRegex(RuntimeError, "codes, scales, minimums and errors that share no memory"):
                operators.rotate_quantized_keys_(*twice, *rest, *SHIFT)
        apart = parts(0, 1)
        expected = operators.rotate_keys(apart, *SHIFT)
        operators.rotate_keys_(apart, *SHIFT)
        self.assertTrue(all(torch.equal(*pair) for pair in zip(apart, expected)))

    def test_a_forward_mode_dual_is_refused_rather_than_left_with_its_old_tangent(self):
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(layers()[0], layers()[0])
            for refused in (
                lambda: operators.rotate_keys_([dual], *SHIFT),
                lambda: operators.rotate_blocks_([dual], torch.arange(3), *SHIFT),
                lambda: operators.convert_pairing_([dual], 0, 64, True),
                lambda: operators.copy_slots_([layers()[0]], [dual], None),
                lambda: operators.rotate_keys([dual], *SHIFT),
            ):
                with self.assertRaisesRegex(RuntimeError, "a dual with a tangent"):
                    refused()
        with self.assertRaises(RuntimeError):
            torch.func.jvp(lambda keys: operators.rotate_keys([keys], *SHIFT)[0], (layers()[0],), (layers()[0],))

        def in_place(keys):
            moved = keys.clone()
            operators.rotate_keys_([moved], *SHIFT)
            return moved

        with self.assertRaises(RuntimeError):
            torch.func.jvp(in_place, (layers()[0],), (layers()[0],))


@unittest.skipUnless(torch.cuda.is_available(), "no CUDA device")
class CudaTest(unittest.TestCase):
    def test_a_captured_turn_turns_what_the_tensors_hold_then(self):
        given = remap("cuda")
        keys = layers("cuda", dtype=torch.bfloat16)
        operators.rotate_keys_(keys, *given)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            operators.rotate_keys_(keys, *given)
        fresh = layers("cuda", dtype=torch.bfloat16)
        expected = operators.rotate_keys(fresh, *given)
        for key, value in zip(keys, fresh):
            key.copy_(value)
        graph.replay()
        torch.cuda.synchronize()
        for key, value in zip(keys, expected):
            self.assertTrue(torch.equal(key, value))

    def test_all_layers_are_one_kernel_and_nobody_waits_for_it(self):
        given = remap("cuda", tokens=64)
        keys = layers("cuda", count=22, tokens=64)
        operators.rotate_keys_(keys, *given)
        torch.cuda.synchronize()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            torch.cuda.set_sync_debug_mode("error")
            with torch.cuda.stream(torch.cuda.Stream()):
                operators.rotate_keys_(keys, *given)
            torch.cuda.set_sync_debug_mode("default")
            torch.cuda.synchronize()
        names = [event.name for event in profile.events()]
        self.assertEqual(sum("rotate_kernel" in name for name in names), 1, names)


if __name__ == "__main__":
    unittest.main()
