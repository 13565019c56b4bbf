"""Writes fixtures/gguf/smollm2_checksums.json: what transformers' `gguf_file=` makes of SmolLM2's GGUF file.

A weight's checksum is the sum of its float32 bits, each times 2 i + 1 for its index i, modulo 2^64. Floats of the configuration that the
file holds in 32 bits are given as the shortest decimals that name them. No line of kvtransfer takes part.

Run: python tests/model/weights/make_smollm2_checksums.py FILE.gguf   (needs torch, transformers, accelerate, numpy and gguf)
"""

import json
import pathlib
import sys

import numpy
import torch
import transformers

KEYS = ["model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
        "vocab_size", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings", "bos_token_id", "eos_token_id", "pad_token_id",
        "attention_bias", "mlp_bias", "hidden_act"]  # fmt: skip


def checksum(weight: torch.Tensor) -> int:
    bits = numpy.ascontiguousarray(weight.numpy()).view(numpy.uint32).ravel().astype(numpy.uint64)
    return int((bits * (2 * numpy.arange(bits.size, dtype=numpy.uint64) + 1)).sum(dtype=numpy.uint64))


def shortest(value: object) -> object:
    return float(str(numpy.float32(value))) if isinstance(value, float) else value


if __name__ == "__main__":
    file = pathlib.Path(sys.argv[1])
    model = transformers.AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    config = {key: shortest(getattr(model.config, key)) for key in KEYS}
    config["rope_theta"] = shortest(model.config.rope_parameters["rope_theta"])
    weights = {name: checksum(weight) for name, weight in model.state_dict().items() if name != "lm_head.weight"}
    target = pathlib.Path(__file__).parent / "fixtures" / "gguf" / "smollm2_checksums.json"
    target.write_text(json.dumps({"config": config, "weights": weights}, indent=1) + "\n")
