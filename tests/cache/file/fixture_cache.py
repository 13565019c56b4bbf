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
}
SCALED = {**YARN, "rope_type": "dynamic", "inv_freq": [1.0, 0.0625], "attention_scaling": 1.0}

FRAME = {
    "version": 1,
    "layout": "batch_heads_seq_dim",
    "model": "LlamaForCausalLM-2x16-00000000c0ffee00",
    "assumed": True,
    "layers": [0, 1],
    "frames": [{"regimes": [YARN]}, {"regimes": [YARN, SCALED]}],
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


def metadata(frame_text, contents):
    """The metadata of the file with its checksums: those of the tensors' bytes, and of the frame's text."""
    values = {name: f"{zlib.crc32(raw_bytes(tensor)):08x}" for name, tensor in contents.items()}
    values["kvtransfer.frame"] = f"{zlib.crc32(frame_text.encode()):08x}"
    checksums = json.dumps({"algorithm": "crc32", "values": values})
    return {"format": "pt", "kvtransfer.frame": frame_text, "kvtransfer.checksum": checksums}
