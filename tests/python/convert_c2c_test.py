"""examples/python/convert_c2c.py on folders made here: what it writes, and what it refuses by name."""

import contextlib
import io
import json
import pickle
import sys
import tempfile
import unittest
from pathlib import Path

from support import CHECKOUT, skip_without

skip_without("safetensors")

import torch  # noqa: E402

sys.path.insert(0, str(CHECKOUT / "tests" / "project"))

import convert_c2c  # noqa: E402
import make_c2c_folder  # noqa: E402

FIXTURE = CHECKOUT / "tests" / "project" / "fixtures" / "c2c"


class Opener:
    """A pickle that would make a file as it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


class ConvertTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name) / "checkpoint"
        self.output = Path(temporary.name) / "converted"
        make_c2c_folder.make(self.folder)

    def convert(self, *more):
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            status = convert_c2c.main([str(self.folder), str(self.output), *more])
        return status, said.getvalue()

    def refused(self, *more):
        status, said = self.convert(*more)
        self.assertEqual(status, 2)
        self.assertEqual(said.count("\n"), 1)
        self.assertFalse(self.output.exists())
        return said

    def change_state(self, change, index=1):
        path = self.folder / f"projector_{index}.pt"
        state = torch.load(path, weights_only=True)
        change(state)
        torch.save(state, path)

    def change_json(self, name, change):
        path = self.folder / name
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    def test_writes_what_the_library_reads(self):
        self.assertEqual(self.convert("--source-model", "a source", "--receiver-model", "a receiver"), (0, ""))
        for name in ("projector.json", "projector.safetensors"):
            self.assertEqual((self.output / name).read_bytes(), (FIXTURE / name).read_bytes(), name)

    def test_refuses_tensors_by_name(self):
        for change, expected in [
            (lambda state: state.pop("key_in.bias"), "projector_1.pt: key_in.bias: expected a tensor [5], got none"),
            (lambda state: state.update(extra=torch.zeros(1)), "projector_1.pt: extra: expected no tensor of this name"),
            (lambda state: state.update(key_gate=state.pop("key_gate_logit")), "projector_1.pt: key_gate: expected no"),
            (lambda state: state.update({"key_in.bias": torch.zeros(6)}), "key_in.bias: expected [5], got [6]"),
            (lambda state: state.update({"key_in.bias": torch.zeros(5, dtype=torch.int64)}), "floating numbers"),
            (lambda state: state.update({"key_in.bias": torch.zeros(5).half()}), "one type in all of them"),
        ]:
            with self.subTest(expected):
                make_c2c_folder.make(self.folder)
                self.change_state(change)
                self.assertIn(expected, self.refused())

    def test_refuses_settings_by_name(self):
        for name, change, expected in [
            ("projector_0.json", lambda json: json.update({"class": "AllInOneProjector"}), "class: expected C2CProjector"),
            ("projector_0.json", lambda json: json["init_args"].update(pos_emb=True), "init_args.pos_emb: expected a setting"),
            ("projector_0.json", lambda json: json["init_args"].pop("source_dim"), "init_args.source_dim: expected a size"),
            ("projector_0.json", lambda json: json["init_args"].update(num_layers=2), "num_layers: expected 3 or more"),
            ("projector_0.json", lambda json: json["init_args"].update(dropout="much"), "dropout: expected a positive"),
            ("projector_1.json", lambda json: json["init_args"].update(hidden_dim=9), "those of the other projectors"),
            ("projector_config.json", lambda json: json.update({"2": {}}), "receivers: expected one, got 2"),
            ("projector_config.json", lambda json: json["0"]["1"].update({"1": [[0, 0], [1, 1]]}), "layer 1: expected one"),
            ("projector_config.json", lambda json: json["0"]["1"].update({"1": [[-1, 0]]}), "layer 1: expected [layer"),
            ("projector_config.json", lambda json: json["0"]["1"].update({"x": [[0, 0]]}), "layer x: expected a number"),
            ("projector_config.json", lambda json: json["0"]["1"].update({"0": [[0, 7]]}), "projector_7.json: file"),
        ]:
            with self.subTest(expected):
                make_c2c_folder.make(self.folder)
                self.change_json(name, change)
                self.assertIn(expected, self.refused())
        make_c2c_folder.make(self.folder)
        self.assertIn("expected one of 2 layers", self.refused("--receiver-layers", "2"))

    def test_runs_no_code_of_a_pickle(self):
        made = self.folder / "made"
        for content in (pickle.dumps(Opener(made)), b"nonsense"):
            (self.folder / "projector_1.pt").write_bytes(content)
            self.assertIn("a state dict of tensors alone", self.refused())
            torch.save({"key_in.bias": Opener(made)}, self.folder / "projector_1.pt")
            self.assertIn("a state dict of tensors alone", self.refused())
        self.assertFalse(made.exists())


if __name__ == "__main__":
    unittest.main()
