"""kvtransfer_torch.model_digest: the digests that the C++ library's test expects, and what they depend on."""

import json
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples" / "python"))

try:
    import gguf  # noqa: F401
    import xxhash  # noqa: F401
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

from kvtransfer_torch.model_digest import model_digest, tokenizer_digest  # noqa: E402

FIXTURES = ROOT / "tests" / "model" / "fixtures"


class ModelDigestTest(unittest.TestCase):
    def test_models_in_the_repository(self):
        for path, digests in json.loads((FIXTURES / "digests.json").read_text()).items():
            with self.subTest(path):
                self.assertEqual(model_digest(ROOT / path), digests["model"])
                self.assertEqual(tokenizer_digest(ROOT / path), digests["tokenizer"])

    def test_one_bit_changes_it(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "model"
            shutil.copytree(FIXTURES / "gqa-tied-fp32", copy)
            before = model_digest(copy)
            weights = bytearray((copy / "model.safetensors").read_bytes())
            weights[-1] ^= 1
            (copy / "model.safetensors").write_bytes(weights)
            self.assertNotEqual(model_digest(copy), before)

    def test_a_file_that_is_not_whole_has_no_digest(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "model"
            shutil.copytree(FIXTURES / "gqa-tied-fp32", copy)
            weights = copy / "model.safetensors"
            whole = weights.read_bytes()
            for name, content in {
                "got 0 bytes that do not hold one": b"",
                "got 7 bytes": whole[:7],
                "got 100 bytes": whole[:100],
                "expected bytes .*, got a file that ends at": whole[:-1],
                "model.safetensors: header: expected a safetensors file's": whole[:8] + b"}" + whole[9:],
            }.items():
                weights.write_bytes(content)
                with self.subTest(name), self.assertRaisesRegex(ValueError, name):
                    model_digest(copy)

    def test_two_gguf_files_are_no_model(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a.gguf", "b.gguf"):
                (Path(folder) / name).touch()
            with self.assertRaisesRegex(ValueError, "got 2 of them"):
                model_digest(folder)


if __name__ == "__main__":
    unittest.main()
