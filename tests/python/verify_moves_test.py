"""The verdict on a model, and frames in files."""

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from support import skip_without

skip_without("transformers")

import torch
from slow_model import SlowModel
from small_models import FAMILIES, causal_lm

import kvtransfer_torch as kvtransfer
from kvtransfer_torch import CacheFrame, FrameError, saved_frame, verify_moves as verify

kvtransfer.load()
torch.set_num_threads(1)
torch.set_grad_enabled(False)

IDS = torch.tensor([[7, 40, 13, 55, 9, 22, 31, 5, 48]])
MORE = torch.tensor([[17, 3, 50]])


def rotating_backwards(model):
    """Not as its file says."""
    model.model.rotary_emb.register_forward_hook(lambda module, inputs, tables: (tables[0], -tables[1]))
    return model


class VerdictTest(unittest.TestCase):
    def test_moves_hold_on_small_models_of_every_type(self):
        for name in FAMILIES:
            for dtype in (torch.float32, torch.bfloat16, torch.float16):
                with self.subTest(name, dtype=dtype):
                    verdict = verify(causal_lm(name).to(dtype), lengths=(8, 40), tokens=6)
                    self.assertEqual(verdict.verdict, "holds", str(verdict))
                    self.assertEqual({check.name for check in verdict.checks if check.length == 8}, {
                        "shift", "remap", "un-rotate, rotate", "cut, close the gap", "save, load",
                    })  # fmt: skip
                    moved = [check for check in verdict.checks if check.name != "save, load"]
                    self.assertTrue(all(0 < max(check.errors) < 1 and min(check.floors) > 0 for check in moved))

    def test_errors_are_judged_by_what_the_type_costs_in_that_layer(self):
        """A fixed tolerance of 0.03 would call this model wrong."""
        model = causal_lm("llama", num_hidden_layers=10, initializer_range=0.4).bfloat16()
        verdict = verify(model, lengths=(16,), tokens=4)
        self.assertGreater(max(max(check.errors) for check in verdict.checks), 0.03)
        self.assertTrue(verdict.holds, str(verdict))

    def test_a_model_that_rotates_otherwise_than_its_file_says_does_not_hold(self):
        for dtype in (torch.float32, torch.bfloat16):
            verdict = verify(rotating_backwards(causal_lm("llama")).to(dtype), lengths=(8,), tokens=4)
            self.assertEqual(verdict.verdict, "does not hold")
            self.assertRegex(verdict.reason, "shift at length 8, remap at length 8.*greedy text at length 8")
            self.assertIn("DOES NOT HOLD", str(verdict))

    def test_frequencies_off_by_one_percent_do_not_hold(self):
        model = causal_lm("llama")
        stretched = lambda module, states, named: (states, {"position_ids": named["position_ids"] * 1.01})  # noqa: E731
        model.model.rotary_emb.register_forward_pre_hook(stretched, with_kwargs=True)
        self.assertEqual(verify(model, lengths=(8,), tokens=2).verdict, "does not hold")

    def test_length_dependent_frequencies_are_compared_where_they_can_be(self):
        scaling = dict(rope_type="dynamic", factor=4.0, rope_theta=1e4)
        verdict = verify(causal_lm("llama", max_position_embeddings=64, rope_parameters=scaling), lengths=(8,), tokens=2)
        self.assertTrue(verdict.holds, str(verdict))
        shift = verdict.checks[0]
        self.assertEqual((shift.name, len(shift.errors), shift.holds), ("shift", 1, True))

    def test_what_cannot_be_moved_is_refused_with_the_reason(self):
        from transformers import GPT2Config, GPT2LMHeadModel

        gpt2 = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=16, bos_token_id=1, eos_token_id=2))
        for model, reason in ((gpt2, "no rotary embedding"), (causal_lm("llama").to("meta"), "meta")):
            verdict = verify(model, lengths=(8,))
            self.assertEqual(verdict.verdict, "refused")
            self.assertIn(reason, verdict.reason)

    def test_settings_that_nothing_could_be_seen_by_are_refused_by_name(self):
        for name, settings in {
            "lengths: expected one or more, each 2": dict(lengths=(8, 1)),
            "lengths: expected one or more": dict(lengths=()),
            "delta: expected 1 or more, got 0": dict(delta=0),
            "tokens: expected 0 or more, got -1": dict(tokens=-1),
            "input_ids: expected at least 16": dict(input_ids=IDS),
        }.items():
            verdict = verify(causal_lm("llama"), **dict(lengths=(16,)) | settings)
            self.assertEqual(verdict.verdict, "refused")
            self.assertIn(f"verify_moves: {name}", verdict.reason)

    def test_logits_that_are_no_numbers_do_not_hold(self):
        """All keys are right here: only what is read from them is not."""
        for broken in (float("nan"), float("inf")):
            model = causal_lm("llama")
            model.model.layers[-1].mlp.down_proj.weight.fill_(broken)
            verdict = verify(model, lengths=(8,), tokens=3)
            self.assertEqual((verdict.verdict, verdict.reason), ("does not hold", "greedy text at length 8"))

    def test_keys_and_logits_of_zeros_are_off_by_nothing(self):
        model = causal_lm("llama")
        model.model.layers[1].self_attn.k_proj.weight.fill_(0)
        model.lm_head.weight.fill_(0)
        verdict = verify(model, lengths=(8,), tokens=3)
        self.assertTrue(verdict.holds, str(verdict))
        self.assertEqual({check.errors[1] for check in verdict.checks} | {verdict.greedy[0].error}, {0})
        kvtransfer.check_moves(model)

    def test_the_program_says_it_by_its_exit_status(self):
        from kvtransfer_torch.verification import main
        from transformers import AutoTokenizer

        tokenizer = Path(__file__).resolve().parents[2] / "examples/models/lab-llama"
        with tempfile.TemporaryDirectory() as folder:
            causal_lm("llama", vocab_size=2048).save_pretrained(folder)
            AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
            report = Path(folder, "verdict.json")
            arguments = [folder, "--dtype", "float32", "--lengths", "8", "--tokens", "3", "--json", str(report)]
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                self.assertEqual(main(arguments), 0)
                self.assertEqual(json.loads(report.read_text())["verdict"], "holds")
                config = Path(folder, "config.json")
                config.write_text(config.read_text().replace('"llama"', '"bloom"'))
                self.assertEqual(main([folder]), 2)
            verdict = json.loads(report.read_text())
            self.assertEqual((verdict["verdict"], len(verdict["checks"]), len(verdict["greedy"][0]["token_ids"])), ("holds", 5, 3))
            self.assertIn("holds", out.getvalue())
            self.assertEqual(err.getvalue().splitlines()[-1].split(":")[0], "verify_moves")


    def test_a_gguf_file_is_refused_with_the_packages_that_it_wants(self):
        from kvtransfer_torch import model_files
        from kvtransfer_torch.verification import main

        err = io.StringIO()
        with mock.patch.object(model_files, "find_spec", lambda name: None if name == "accelerate" else name), contextlib.redirect_stderr(err):
            self.assertEqual(main(["folder/model.gguf"]), 2)
        self.assertRegex(err.getvalue(), r"model\.gguf: expected gguf and accelerate, .*, got no accelerate\n$")
        with mock.patch.object(model_files, "find_spec", lambda name: name):
            self.assertEqual(model_files.from_pretrained_arguments(Path("folder/model.gguf")), (Path("folder"), {"gguf_file": "model.gguf"}))
        self.assertEqual(model_files.from_pretrained_arguments(Path("folder")), (Path("folder"), {}))


class SavedFrameTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.path = Path(temporary.name, "frame.pt")

    def saved(self, model, **settings):
        frame, slow = CacheFrame(model, **settings), SlowModel(model)
        frame.forward(IDS)
        slow.forward(IDS)
        frame.shift_(30)
        slow.shift(30)
        kvtransfer.save_frame(frame, self.path)
        return frame, slow

    def test_what_is_loaded_goes_on_as_what_was_saved(self):
        for name in FAMILIES:
            for kept in (True, False):
                with self.subTest(name, kept=kept):
                    model = causal_lm(name)
                    frame, slow = self.saved(model, keep_written=kept)
                    loaded = kvtransfer.load_frame(self.path, model, keep_written=kept)
                    self.assertEqual(loaded.roundings, frame.roundings)
                    loaded.close_gap_()
                    slow.close_gap()
                    torch.testing.assert_close(loaded.forward(MORE).logits.double(), slow.forward(MORE), rtol=0, atol=5e-5)

    def test_another_model_is_refused(self):
        scaling = dict(rope_type="llama3", rope_theta=1e4, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
        model = causal_lm("llama", rope_parameters=scaling | dict(factor=8.0))
        self.saved(model)
        for name, other, message in (
            ("frequencies", causal_lm("llama", rope_parameters=scaling | dict(factor=32.0)), "rotary: .*, got frequency 1 "),
            ("epsilon", causal_lm("llama", rope_parameters=scaling | dict(factor=8.0), rms_norm_eps=0.5),
             "configuration: expected rms_norm_eps 1e-06, got rms_norm_eps 0.5"),
            ("activation", causal_lm("llama", rope_parameters=scaling | dict(factor=8.0), hidden_act="gelu"), "configuration: .*gelu"),
            ("type", causal_lm("llama", rope_parameters=scaling | dict(factor=8.0)).bfloat16(), "model"),
            ("family", causal_lm("qwen2"), "model"),
        ):
            with self.subTest(name), self.assertRaisesRegex(FrameError, f"load_frame: {message}"):
                kvtransfer.load_frame(self.path, other)
        model.model.layers[1].mlp.down_proj.weight[0, 0] += 1e-3
        with self.assertRaisesRegex(FrameError, "load_frame: model: expected the one of digest"):
            kvtransfer.load_frame(self.path, model)

    def test_another_window_over_the_same_weights_is_refused(self):
        self.saved(causal_lm("gemma3_text"))
        with self.assertRaisesRegex(FrameError, "load_frame: configuration: expected sliding_window 6, got sliding_window 7"):
            kvtransfer.load_frame(self.path, causal_lm("gemma3_text", sliding_window=7))

    def test_values_that_were_edited_in_place_are_remembered(self):
        model = causal_lm("llama")
        frame, _ = self.saved(model)
        self.assertEqual(kvtransfer.load_frame(self.path, model).edited_values, [])
        frame.cache.layers[2].values.mul_(0.5)
        kvtransfer.save_frame(frame, self.path)
        self.assertEqual(kvtransfer.load_frame(self.path, model).edited_values, [2])

    def test_no_flipped_bit_changes_what_is_loaded(self):
        """torch reads a tensor whose checksum differs."""
        model = causal_lm("llama")
        frame, _ = self.saved(model)
        whole, refused = self.path.read_bytes(), 0
        for place in range(0, len(whole), 17):
            self.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
            try:
                loaded = kvtransfer.load_frame(self.path, model)
            except FrameError:
                refused += 1
                continue
            for ours, theirs in zip(loaded.cache.layers, frame.cache.layers):
                self.assertTrue(torch.equal(ours.keys, theirs.keys) and torch.equal(ours.values, theirs.values))
            for ours, theirs in zip([*loaded.positions, *loaded.valid], [*frame.positions, *frame.valid]):
                self.assertTrue(torch.equal(ours, theirs))
            said = [(each.next_position.tolist(), each.roundings, each.is_rotated, each.edited_values) for each in (loaded, frame)]
            self.assertEqual(*said)
        self.assertGreater(refused, len(whole) // 17 // 2)

    def test_files_that_are_something_else_are_refused_by_name(self):
        model = causal_lm("llama")
        self.saved(model)
        whole = self.path.read_bytes()
        good = torch.load(self.path, weights_only=True)
        for content in (b"", b"text", whole[: len(whole) // 2]):
            self.path.write_bytes(content)
            with self.assertRaisesRegex(FrameError, "frame.pt: expected kvtransfer-torch cache 2"):
                kvtransfer.load_frame(self.path, model)
        first = good["layers"][0]
        for name, forged in {
            "got another": good | {"format": "another"},
            "layers": good | {"layers": good["layers"][:1]},
            "positions: expected int64": good | {"layers": [first | {"positions": first["positions"][..., :3]}] + good["layers"][1:]},
            "ascend": good | {"layers": [first | {"positions": first["positions"].flip(-1)}] + good["layers"][1:]},
            "valid": good | {"layers": [first | {"valid": first["valid"].long()}] + good["layers"][1:]},
            "layer 0": good | {"layers": [first | {"keys": first["keys"][:, :1]}] + good["layers"][1:]},
            "next_position": good | {"next_position": good["next_position"] - 5},
            "contents of digest .*, so they have changed": good | {"sha256": "0" * 64},
        }.items():
            sealed = forged if forged["sha256"] != good["sha256"] else forged | {"sha256": saved_frame._digest_of(forged)}
            torch.save(sealed, self.path)
            with self.subTest(name), self.assertRaisesRegex(ValueError, name):
                kvtransfer.load_frame(self.path, model)
        with self.assertRaises(FileNotFoundError):
            kvtransfer.load_frame(self.path.with_name("nowhere"), model)

    def test_a_failed_save_leaves_the_old_file(self):
        model = causal_lm("llama")
        self.saved(model)
        before = self.path.read_bytes()
        with self.assertRaises(FrameError):
            kvtransfer.save_frame(CacheFrame(model), self.path)
        self.assertEqual(self.path.read_bytes(), before)
        self.assertEqual(list(self.path.parent.iterdir()), [self.path])


if __name__ == "__main__":
    unittest.main()
