"""Makes tests/model/fixtures/digests.json: the digests of the models in this repository, as Python computes them.

    .venv/bin/python tests/model/make_digests.py

Tensors come from the `safetensors` and `gguf` packages, XXH3 from `xxhash`: nothing here reads files as the library does.
"""

import json
import pathlib
import sys

import gguf
import safetensors.torch
import torch
import xxhash

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples/python"))

from kvtransfer_torch.model_digest import digest_of_tensors, model_digest, tokenizer_digest  # noqa: E402

FOLDERS = ["tests/model/fixtures/gqa-tied-fp32", "tests/model/fixtures/llama3-scaled-fp32",
           "tests/model/fixtures/mha-biased-fp16", "tests/model/fixtures/mistral-fp16",
           "tests/model/fixtures/wide-heads-bf16-sharded", "examples/models/lab-llama"]
GGUF_FILES = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tests/model/weights/fixtures/gguf/*.gguf"))
NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def digest_of_folder(folder):
    tensors = []
    for file in sorted((ROOT / folder).glob("*.safetensors")):
        if file.name.startswith("model"):
            for name, tensor in safetensors.torch.load_file(file).items():
                tensors.append((name, NAMES[tensor.dtype], list(tensor.shape), tensor.view(torch.uint8).numpy().tobytes()))
    return digest_of_tensors(tensors)


def main():
    digests = {}
    for path in FOLDERS + GGUF_FILES:
        whole = model_digest(ROOT / path)
        if path in FOLDERS:
            assert whole == digest_of_folder(path), path
        digests[path] = {"model": whole, "tokenizer": tokenizer_digest(ROOT / path)}
    (ROOT / "tests/model/fixtures/digests.json").write_text(json.dumps(digests, indent=1) + "\n")


if __name__ == "__main__":
    main()
