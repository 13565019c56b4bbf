"""Writes fixtures/groups.safetensors: a small tensor and what others make of it, group by group.

int4 is optimum-quanto's affine quantization with its MaxOptimizer, which transformers' QuantoQuantizedCache uses; int8 is the formula of
KIVI (section 3) in float64; fp8 the absolute maximum over 448, cast by torch. Groups are 8 elements of a head (per token) or 8 tokens of
a channel (per channel), where the last of 21 tokens are a group of 5. No line of kvtransfer takes part.

Run: python tests/tensor/quantized/make_fixtures.py   (needs torch, safetensors, numpy and optimum-quanto)
"""

import pathlib

import numpy
import torch
from optimum.quanto import MaxOptimizer, qint4, quantize_weight
from safetensors.torch import save_file

BATCH, HEADS, SEQ, HEAD_DIM, GROUP = 2, 2, 21, 16, 8


def quanto_int4(groups: torch.Tensor) -> torch.Tensor:
    """[n, elements of a group] as quanto brings it back."""
    scale, shift = MaxOptimizer()(groups, qint4, axis=0)
    return quantize_weight(groups, qint4, axis=0, scale=scale, shift=shift).dequantize()


def kivi_int8(groups: torch.Tensor) -> torch.Tensor:
    x = groups.numpy().astype(numpy.float64)
    zero_point = x.min(axis=1, keepdims=True)
    scale = (x.max(axis=1, keepdims=True) - zero_point) / 255
    codes = numpy.clip(numpy.round((x - zero_point) / scale), 0, 255)
    return torch.from_numpy(codes * scale + zero_point).float()


def fp8(groups: torch.Tensor) -> torch.Tensor:
    scale = groups.abs().amax(dim=1, keepdim=True) / 448
    return (groups / scale).to(torch.float8_e4m3fn).float() * scale


def per_token(x: torch.Tensor, quantized) -> torch.Tensor:
    return quantized(x.reshape(-1, GROUP)).reshape(x.shape)


def per_channel(x: torch.Tensor, quantized) -> torch.Tensor:
    parts = []
    for part in x.split(GROUP, dim=2):
        columns = part.transpose(2, 3)  # [batch, heads, head_dim, tokens]
        parts.append(quantized(columns.reshape(-1, part.shape[2])).reshape(columns.shape).transpose(2, 3))
    return torch.cat(parts, dim=2)


if __name__ == "__main__":
    elements = torch.randn(BATCH, HEADS, SEQ, HEAD_DIM, generator=torch.Generator().manual_seed(5))
    elements[..., 3] *= 30  # a channel with outliers, as keys have
    elements[..., 5] += 10
    tensors = {"elements": elements}
    for name, quantized in {"int4": quanto_int4, "int8": kivi_int8, "float8_e4m3fn": fp8}.items():
        tensors[f"{name} per token"] = per_token(elements, quantized)
        tensors[f"{name} per channel"] = per_channel(elements, quantized)
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(tensors, pathlib.Path(__file__).parent / "fixtures" / "groups.safetensors")
