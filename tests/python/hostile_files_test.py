"""Files that are truncated, hostile or of an unknown kind, to phase2a: exit status 2, one line that names file, field, expected and
got, and nothing written.

    hostile_files_test.py PHASE2A
"""

import concurrent.futures
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from support import CHECKOUT, skip_without

skip_without("gguf", "safetensors")

import gguf
import numpy
import torch
from safetensors.torch import load_file, save_file

PHASE2A = sys.argv.pop(1)
LAB = CHECKOUT / "examples/models/lab-llama"
NF4 = CHECKOUT / "tests/model/weights/fixtures/nf4/nested"
BYTE_LEVEL = CHECKOUT / "tests/model/tokenizers/fixtures/smollm_like/tokenizer.json"
SUITE = {"name": "s", "tests": [{"name": "t", "source": "Lyra lives in Seattle.", "target": "Where?", "markers": ["Seattle"]}]}


def edited(path: Path, change) -> None:
    """Writes a JSON file with what `change(content)` leaves or returns."""
    content = json.loads(path.read_text())
    replaced = change(content)
    path.write_text(json.dumps(content if replaced is None else replaced))


def retensored(path: Path, change) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


def write_gguf(path: Path, **changes) -> None:
    """A small llama with a byte-level tokenizer, `changes` made: metadata by key, None leaves one out; tensors by name."""
    vocabulary = json.loads(BYTE_LEVEL.read_text())["model"]
    tokens = [text for text, _ in sorted(vocabulary["vocab"].items(), key=lambda pair: pair[1])]
    merges = [each if isinstance(each, str) else " ".join(each) for each in vocabulary["merges"]]
    values = {
        "llama.block_count": 1, "llama.context_length": 64, "llama.embedding_length": 32, "llama.feed_forward_length": 48,
        "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2, "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 1e4, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": merges, "tokenizer.ggml.token_type": [1] * len(tokens), "tokenizer.ggml.eos_token_id": 0,
    }  # fmt: skip
    shapes = {"token_embd": (len(tokens), 32), "output_norm": (32,), "blk.0.attn_norm": (32,), "blk.0.ffn_norm": (32,),
              "blk.0.attn_q": (32, 32), "blk.0.attn_k": (16, 32), "blk.0.attn_v": (16, 32), "blk.0.attn_output": (32, 32),
              "blk.0.ffn_gate": (48, 32), "blk.0.ffn_up": (48, 32), "blk.0.ffn_down": (32, 48)}  # fmt: skip
    tensors = {f"{name}.weight": numpy.full(shape, 0.1, numpy.float32) for name, shape in shapes.items()}
    for key, value in changes.items():
        (tensors if key.endswith(".weight") else values)[key] = value
    writer = gguf.GGUFWriter(path, values.pop("general.architecture", "llama"))
    for key, value in values.items():
        if isinstance(value, list):
            writer.add_array(key, value)
        elif value is not None:
            {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)](key, value)
    for name, tensor in tensors.items():
        if tensor is not None:
            writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Case:
    """A folder to spoil, and what the complaint must say beside expected and got."""

    def __init__(self, base: str, file: str, spoil, *named: str):
        self.base, self.file, self.spoil, self.named = base, file, spoil, named


def cut(share: float):
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def bytes_at(offset: int, new: bytes):
    def change(path: Path):
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(new)

    return change


def key(name: str, value):
    return lambda path: edited(path, lambda content: content.__setitem__(name, value))


def part(name: str, value):
    """A part of tokenizer.json."""
    return key(name, value)


def again(**changes):
    return lambda path: write_gguf(path, **changes)


def without(name: str):
    return lambda path: retensored(path, lambda tensors: tensors.pop(name))


def instead(name: str, make):
    return lambda path: retensored(path, lambda tensors: tensors.__setitem__(name, make(tensors[name])))


STATE = "model.layers.1.mlp.up_proj.weight.quant_state.bitsandbytes__nf4"
UP = "model.layers.1.mlp.up_proj.weight"


def text_bytes(text: str):
    return lambda _: torch.tensor(list(text.encode()), dtype=torch.uint8)


GGUF = [
    Case("gguf", "model.gguf", cut(0.001), "model.gguf"),
    Case("gguf", "model.gguf", cut(0.4), "model.gguf"),
    Case("gguf", "model.gguf", cut(0.99), "model.gguf", "tensor"),
    Case("gguf", "model.gguf", bytes_at(0, b"GGML"), "magic"),
    Case("gguf", "model.gguf", bytes_at(4, struct.pack("<I", 1)), "version", "2 or 3"),
    Case("gguf", "model.gguf", bytes_at(4, struct.pack(">I", 3)), "version", "big-endian"),
    Case("gguf", "model.gguf", bytes_at(8, struct.pack("<Q", 1 << 62)), "model.gguf"),
    Case("gguf", "model.gguf", bytes_at(16, struct.pack("<Q", 1 << 62)), "model.gguf"),
    Case("gguf", "model.gguf", bytes_at(24, struct.pack("<Q", 1 << 63)), "model.gguf"),
    Case("gguf", "model.gguf", again(**{"general.architecture": "mamba"}), "general.architecture", "mamba"),
    Case("gguf", "model.gguf", again(**{"llama.embedding_length": None}), "embedding_length"),
    Case("gguf", "model.gguf", again(**{"llama.expert_count": 8}), "expert_count", "8"),
    Case("gguf", "model.gguf", again(**{"llama.rope.scaling.type": "spiral"}), "rope.scaling.type"),
    Case("gguf", "model.gguf", again(**{"blk.0.ffn_up.weight": None}), "model.gguf", "tensor"),
    Case("gguf", "model.gguf", again(**{"blk.0.ffn_up.weight": numpy.ones((48, 31), numpy.float32)}), "blk.0.ffn_up.weight", "shape"),
    Case("gguf", "model.gguf", again(**{"blk.0.ffn_up_exps.weight": numpy.ones((48, 32), numpy.float32)}), "ffn_up_exps"),
    Case("gguf", "model.gguf", again(**{"tokenizer.ggml.pre": "of-the-future"}), "tokenizer.ggml.pre", "of-the-future"),
    Case("gguf", "model.gguf", again(**{"tokenizer.ggml.model": "bert"}), "tokenizer.ggml.model", "bert"),
    Case("gguf", "model.gguf", again(**{"tokenizer.ggml.merges": ["ab"]}), "tokenizer.ggml.merges"),
]
FOLDER = [
    Case("folder", "config.json", cut(0.5), "config.json", "JSON"),
    Case("folder", "config.json", key("model_type", "mamba"), "config.json"),
    Case("folder", "config.json", key("of_the_future", 3), "config.json", "of_the_future"),
    Case("folder", "config.json", key("hidden_size", 1 << 40), "config.json", "hidden_size"),
    Case("folder", "model.safetensors", cut(0.5), "model.safetensors"),
    Case("folder", "model.safetensors", bytes_at(0, struct.pack("<Q", 1 << 62)), "model.safetensors"),
    Case("folder", "model.safetensors", without("model.norm.weight"), "model.norm.weight"),
    Case("folder", "model.safetensors", instead("model.norm.weight", lambda t: t[1:].contiguous()), "model.norm.weight", "shape"),
    Case("folder", "model.safetensors", instead("model.norm.weight", lambda t: t.long()), "model.norm.weight", "I64"),
    Case("folder", "tokenizer.json", cut(0.5), "tokenizer.json", "JSON"),
    Case("folder", "tokenizer.json", part("normalizer", {"type": "Precompiled"}), "tokenizer.json", "normalizer", "Precompiled"),
    Case("folder", "tokenizer.json", part("pre_tokenizer", {"type": "UnicodeScripts"}), "tokenizer.json", "pre_tokenizer"),
    Case("folder", "tokenizer.json", part("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated",
         "invert": False}), "tokenizer.json", "pre_tokenizer"),
    Case("folder", "tokenizer.json", part("model", {"type": "WordPiece"}), "tokenizer.json", "model", "WordPiece"),
    Case("folder", "tokenizer.json", part("decoder", {"type": "CTC"}), "tokenizer.json", "decoder", "CTC"),
    Case("sentencepiece", "tokenizer.model", cut(0.5), "tokenizer.model"),
    Case("sentencepiece", "tokenizer.model", lambda path: path.write_bytes(b"\xff" * 100), "tokenizer.model"),
    Case("nf4", "model.safetensors", without(f"{UP}.absmax"), f"{UP}.absmax"),
    Case("nf4", "model.safetensors", instead(UP, lambda t: t[:-1].contiguous()), UP),
    Case("nf4", "model.safetensors", instead(STATE, text_bytes('{"quant_type": "fp4"}')), "quant_type", "nf4"),
    Case("nf4", "model.safetensors", instead(STATE, text_bytes('{"quant_type": ')), STATE, "JSON"),
    Case("nf4", "config.json", key("quantization_config", {"quant_method": "gptq", "bits": 4}), "config.json", "quantization_config"),
]  # fmt: skip


class HostileFiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        (cls.folder / "suite.json").write_text(json.dumps(SUITE))
        shutil.copytree(LAB, cls.folder / "folder")
        shutil.copytree(LAB, cls.folder / "sentencepiece", ignore=shutil.ignore_patterns("tokenizer.json"))
        shutil.copytree(NF4, cls.folder / "nf4")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(CHECKOUT / "tests/model/fixtures/tokenizer" / name, cls.folder / "nf4")
        # A vocabulary of more tokens than the small model has rows says nothing here: its files are refused first.
        (cls.folder / "gguf").mkdir()
        write_gguf(cls.folder / "gguf" / "model.gguf")

    def run_phase2a(self, model: Path, output: Path, *more: str):
        arguments = ["--model", model, "--output", output, "--suite", self.folder / "suite.json", "--conditions", "baseline",
                     "--device", "cpu", "--max-new-tokens", "1", "--threads", "1", *more]  # fmt: skip
        return subprocess.run([PHASE2A, *map(str, arguments)], capture_output=True, text=True)

    def test_the_files_as_they_are_run(self):
        for base in ("folder", "sentencepiece", "gguf"):
            ran = self.run_phase2a(self.folder / base, self.folder / f"output-{base}")
            self.assertEqual(ran.returncode, 0, ran.stderr)

    def outcome(self, numbered) -> str:
        """What is wrong with the refusal of a case; nothing where it is as it should be."""
        number, case = numbered
        model, output = self.folder / f"case-{number}", self.folder / f"case-{number}-output"
        shutil.copytree(self.folder / case.base, model)
        case.spoil(model / case.file)
        before = sorted(path.name for path in model.iterdir())
        ran = self.run_phase2a(model, output)
        said = ran.stderr
        wrong = [name for name in (*case.named, "expected", "got") if name not in said]
        if ran.returncode != 2:
            wrong.append(f"status {ran.returncode}")
        if not said.startswith("phase2a: ") or said.count("\n") != 1:
            wrong.append("not one line")
        if str(model) not in said:
            wrong.append("no file")
        if ran.stdout or output.exists() or sorted(path.name for path in model.iterdir()) != before:
            wrong.append("something written")
        shutil.rmtree(model)
        return f"case {number} ({case.base}/{case.file}): {', '.join(wrong)}: {said}" if wrong else ""

    def test_each_is_refused_in_one_line_and_nothing_is_written(self):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            found = [each for each in pool.map(self.outcome, enumerate(GGUF + FOLDER)) if each]
        self.assertEqual(found, [])


if __name__ == "__main__":
    unittest.main()
