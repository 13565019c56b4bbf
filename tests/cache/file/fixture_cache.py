"""The cache of tests/cache/file/fixtures, as tensors and metadata of a safetensors file. `fixtures_test.cpp` has the same in C++."""

import json
import zlib

import torch

YARN = {
    "rope_type": "yarn",
    "inv_freq": [1.0, float(torch.tensor(0.1))],  # fp32's 0.1, which a double holds exactly
    "attention_scaling": 1.0693147180559945,
    "pairing": "half_split",
    "window_offset": 0,
    "stream_of": [],
    "normed_after_rotation": False,
    "length": 0,
}
SCALED = {**YARN, "rope_type": "dynamic", "inv_freq": [1.0, 0.0625], "attention_scaling": 1.0, "length": 4096}

FRAME = {
    "version": 2,
    "layout": "batch_heads_seq_dim",
    "checksums": True,
    "origin": {
        "digest": "00112233445566778899aabbccddeeff",
        "quantization": "none",
        "adapter": "none",
        "tokenizer": "ffeeddccbbaa99887766554433221100",
        "rotary": {"rope_type": "yarn", "factor": "2"},
        "configuration": {"architecture": "LlamaForCausalLM", "rms_norm_eps": "1e-06"},
        "basis": "same_weights",
    },
    "assumed": True,
    "edits": [{"kind": "half", "half": "values", "layers": [1], "heads": [], "slots": [[1, 2]], "origin": "another text"}],
    "layers": [0, 1],
    "frames": [{"specifications": [YARN], "roundings": 0}, {"specifications": [YARN, SCALED], "roundings": 2}],
}


def steps(sign, offset, dtype):
    """[batch 2, kv_heads 2, seq 3, head_dim 4], eighths of whole numbers: exact in every type."""
    return (sign * torch.arange(48).reshape(2, 2, 3, 4) / 8 + offset).to(dtype)


def tensors():
    return {
        "layers.0.key": steps(1, 0, torch.float32),
        "layers.0.value": steps(-1, 0, torch.float32),
        "layers.1.key": steps(1, 1, torch.bfloat16),
        "layers.1.value": steps(-1, 1, torch.bfloat16)[..., :2].contiguous(),
        # Two texts, of three tokens and of one, aligned at their end.
        "frames.0.positions": torch.tensor([[[[0, 1, 2]], [[0, 0, 0]]]]),
        "frames.0.states": torch.tensor([[[0, 0, 0]], [[-2, -2, 0]]], dtype=torch.int32),
        # Each head on its own; the last keys written under the second regime, one never rotated.
        "frames.1.positions": torch.tensor([[[[0, 1, 9], [0, 5, 9]], [[7, 8, 9], [-3, 8, 9]]]]),
        "frames.1.states": torch.tensor([[[0, 0, 1], [0, 0, 1]], [[0, 0, 1], [0, -1, 1]]], dtype=torch.int32),
        "token_ids": torch.tensor([[5, 6, 7], [-1, -1, 8]]),
    }


def raw_bytes(tensor):
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def header_checksum(frame_text, contents):
    """Of every tensor its name, type and shape, a line each, and then of the frame its name and its text."""
    names = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32"}
    lines = []
    for name in sorted(contents):
        lines += [name, names[contents[name].dtype], ",".join(str(size) for size in contents[name].shape)]
    return zlib.crc32("".join(f"{line}\n" for line in [*lines, "kvtransfer.frame", frame_text]).encode())


def metadata(frame_text, contents):
    """The metadata of the file with its checksums: those of the tensors' bytes, of the frame's text, and of all names."""
    values = {name: f"{zlib.crc32(raw_bytes(tensor)):08x}" for name, tensor in contents.items()}
    values["kvtransfer.frame"] = f"{zlib.crc32(frame_text.encode()):08x}"
    checksums = json.dumps({"algorithm": "crc32", "header": f"{header_checksum(frame_text, contents):08x}", "values": values})
    return {"format": "pt", "kvtransfer.frame": frame_text, "kvtransfer.checksum": checksums}
