"""Cache files across the fence on a real model in 4 bits, SmolLM2 from its GGUF file, which transformers dequantizes.

    cache_file_smollm2_test.py PROGRAM FILE.gguf      the program that continue_cache.cpp makes; skipped where there is no such file
"""

import json
import sys
import tempfile
import unittest
from pathlib import Path

from support import CHECKOUT, SKIPPED, skip_without

MODEL = Path(sys.argv.pop())
if not MODEL.exists():
    print(f"skipped: no {MODEL}")
    sys.exit(SKIPPED)
skip_without("transformers", "safetensors", "xxhash", "gguf", "accelerate")

import torch
from cache_file_test import ask, go_on, read
from transformers import AutoModelForCausalLM

from kvtransfer_torch import CacheFrame
from kvtransfer_torch.cache_file import load_cache, save_cache
from kvtransfer_torch.model_identity import model_identity

# Two chats of unequal lengths, each cut behind its source, and what transformers says to the whole of each.
CASES = [
    case
    for case in json.loads((CHECKOUT / "tests/model/fixtures/smollm2.json").read_text())["cases"]
    if case["form"] == "chat" and case["test"] in ("identity", "mars_to_france")
]
SOURCE, QUESTION = [case["head"] for case in CASES], [case["tail"] for case in CASES]
EXPECTED = [case["whole"]["greedy"] for case in CASES]
NEW = min(16, *map(len, EXPECTED))


class OnSmolLm2(unittest.TestCase):
    def test_both_ways_token_for_token(self):
        model = AutoModelForCausalLM.from_pretrained(MODEL.parent, gguf_file=MODEL.name, dtype=torch.float32).eval()
        identity = model_identity(MODEL, model)
        with tempfile.TemporaryDirectory() as folder:
            file, back = Path(folder) / "cache.safetensors", Path(folder) / "back.safetensors"
            frame = CacheFrame(model)
            read(frame, SOURCE)
            save_cache(frame, file, identity)
            expected = [row[:NEW] for row in EXPECTED]
            self.assertEqual(go_on(frame, QUESTION, NEW), expected)
            answer = ask(model=MODEL, cache=file, ids=QUESTION, new_tokens=NEW)
            self.assertEqual(answer["token_ids"], expected)
            self.assertEqual(answer["identity"], identity.record())
            ask(model=MODEL, text=SOURCE, save=back)
            self.assertEqual(go_on(load_cache(back, model, identity), QUESTION, NEW), expected)


if __name__ == "__main__":
    unittest.main()
