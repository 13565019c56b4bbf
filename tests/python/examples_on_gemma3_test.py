"""The example scripts on a Gemma 3 model: two rotary embeddings, and layers with windows. Random weights, the lab model's tokenizer."""

import runpy
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from support import CHECKOUT, skip_without

skip_without("transformers")

import torch
from small_models import causal_lm

SCRIPTS = CHECKOUT / "examples" / "python"


class Gemma3Test(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        causal_lm("gemma3_text", vocab_size=2048, sliding_window=512).save_pretrained(cls.folder)
        for file in (CHECKOUT / "examples/models/lab-llama").glob("*token*"):
            shutil.copy(file, cls.folder)

    def run_script(self, name, *arguments):
        with mock.patch.object(sys, "argv", [name, "--model", str(self.folder), *arguments]), torch.no_grad():
            runpy.run_path(str(SCRIPTS / name), run_name="__main__")

    def test_evict_and_close_gap(self):
        self.run_script("evict_and_close_gap.py", "--steps", "60")

    def test_move_transformers_cache(self):
        self.run_script("move_transformers_cache.py")

    def test_reuse_chunks(self):
        self.run_script("reuse_chunks.py")


if __name__ == "__main__":
    unittest.main()
