"""Audits a way of changing caches: one cache file for each test of a suite, then what the audit says of them.

    python examples/python/audit_a_method.py caches [--bits 4] [--model FOLDER]
    phase2a --suite phase2a --conditions baseline,text_oracle,transfer,from_files:caches,from_files:caches+control:other_source

Here the method rounds keys and values to a few bits for each head, as a cache that is kept small would. Anybody's takes its place: what
it writes is compared with the text itself, and with the caches that it made for *other* tests, which is the control that counts.
"""

import json
from pathlib import Path

import torch

from kvtransfer_torch import CacheFrame
from kvtransfer_torch.cache_file import save_cache
from kvtransfer_torch.model_identity import model_identity
from text_model import TextModel, argument_parser


def method(tensor: torch.Tensor, bits: int) -> torch.Tensor:
    """Keys or values [batch, kv_heads, seq, head_dim], as they are after they were kept in `bits` bits."""
    step = (tensor.amax((-2, -1), keepdim=True) - tensor.amin((-2, -1), keepdim=True)) / (2**bits - 1)
    return (tensor / step).round() * step


def main() -> None:
    parser = argument_parser(__doc__)
    suite = Path(__file__).resolve().parents[1] / "phase2a" / "suites" / "phase2a.json"
    parser.add_argument("folder", type=Path, help="where the cache files go, NAME.safetensors for test NAME")
    parser.add_argument("--bits", type=int, default=4, help="that the method keeps of each number")
    parser.add_argument("--suite", type=Path, default=suite, help="whose sources are read")
    arguments = parser.parse_args()
    text = TextModel(arguments.model)
    identity = model_identity(arguments.model, text.model)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for test in json.loads(arguments.suite.read_text())["tests"]:
        ids = text.encode(test["source"], start=True)
        _, cache = text.forward(ids, 0)
        for layer in cache.layers:
            layer.keys, layer.values = method(layer.keys, arguments.bits), method(layer.values, arguments.bits)
        frame = CacheFrame.adopt(text.model, cache, positions=torch.arange(ids.shape[1]))
        save_cache(frame, arguments.folder / f"{test['name']}.safetensors", identity, token_ids=ids)


if __name__ == "__main__":
    main()
