"""fp8 keys that a move would take past the largest number of their type.

The kernels round such a key to that number, and nothing brings back what that cuts off: a move that would is refused, in the words
of the C++ library (include/kvtransfer/rope/detail/fp8_range.hpp).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch


class Format(NamedTuple):
    """What there is to know of an fp8 type."""

    name: str
    largest: float
    half_step: float  # how far rounding takes an element off at most


FORMATS = {
    torch.float8_e4m3fn: Format("float8_e4m3fn", 448, 16),
    torch.float8_e5m2: Format("float8_e5m2", 57344, 4096),
}


def require_in_range(
    where: str, layers: Sequence[torch.Tensor], rotary_dim: int, gain: float, rotate_: Callable[[torch.Tensor], None]
) -> None:
    """Raises ValueError where a key in fp8 would outgrow its type; keys of other types pass.

    layers   [batch, kv_heads, seq, head_dim] of one type
    gain     multiplies what is rotated
    rotate_  rotates keys in place
    """
    format = FORMATS.get(layers[0].dtype) if layers else None
    if format is None or layers[0].numel() == 0 or torch.compiler.is_compiling():
        return
    for keys in layers:
        if _fits_at_any_angle(keys[..., :rotary_dim], gain, format):
            continue
        rotated = keys.to(torch.float32, memory_format=torch.contiguous_format)
        rotate_(rotated)
        sizes = rotated.abs()
        over = sizes > format.largest + format.half_step
        if bool(over.any()):
            raise ValueError(
                f"{where}: keys: expected rotated elements of at most {format.largest} in {format.name} "
                f"(quantize the cache again with a larger scale), got {float(sizes[over].amax()):.6g}"
            )


def _fits_at_any_angle(keys: torch.Tensor, gain: float, format: Format) -> bool:
    """A rotated element is as large as its pair is long, at most. Without their sign, bytes of fp8 rise as the numbers do."""
    largest = (keys.view(torch.uint8) & 0x7F).amax().view(keys.dtype)
    return float(largest.float()) * math.sqrt(2) * gain <= format.largest
