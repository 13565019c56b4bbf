"""Whether tensors share memory, element by element: slices that interleave, as of one tensor for all layers, are apart."""

import math
from collections.abc import Sequence

import torch

_MOST_STEPS = 10_000  # of a search, past which an overlap is assumed


def reaches_an_element_twice(tensor: torch.Tensor) -> bool:
    """True unless, sorted by stride, each axis steps past all that the smaller ones span."""
    spanned = 0
    for stride, size in sorted(_axes(tensor)):
        if stride <= spanned:
            return True
        spanned += stride * (size - 1)
    return False


def is_same_view(a: torch.Tensor, b: torch.Tensor) -> bool:
    """True if both name the same elements in the same order."""
    return (a.data_ptr(), a.shape, a.stride(), a.dtype, a.device) == (b.data_ptr(), b.shape, b.stride(), b.dtype, b.device)


def share_memory(a: torch.Tensor, b: torch.Tensor) -> bool:
    """True if some byte belongs to an element of each."""
    if a.device != b.device or a.numel() == 0 or b.numel() == 0:
        return False
    # start of a + steps along its axes = start of b + steps along its axes, with bytes as the smallest axis of both. Steps
    # along axes of one stride are one number, of which the difference counts.
    reach: dict[int, list[int]] = {}
    for tensor, sign in ((a, 1), (b, -1)):
        for stride, size in [*_axes(tensor), (1, tensor.element_size())]:
            low_high = reach.setdefault(stride, [0, 0])
            low_high[sign > 0] += sign * (size - 1)
    axes = [(stride, low, high) for stride, (low, high) in sorted(reach.items(), reverse=True)]
    return _is_reached(axes, b.data_ptr() - a.data_ptr(), [0])


def overlapping_pairs(tensors: Sequence[torch.Tensor]) -> list[tuple[int, int]]:
    """Indices of every two tensors that share memory, in order of their addresses."""
    ranges = []
    for index, tensor in enumerate(tensors):
        if tensor.numel() > 0:
            length = sum(stride * (size - 1) for stride, size in _axes(tensor)) + tensor.element_size()
            ranges.append((tensor.data_ptr(), tensor.data_ptr() + length, index))
    pairs, open_ranges = [], []
    for start, end, index in sorted(ranges):
        open_ranges = [(other_end, other) for other_end, other in open_ranges if other_end > start]
        pairs += [(other, index) for _, other in open_ranges if share_memory(tensors[other], tensors[index])]
        open_ranges.append((end, index))
    return pairs


def _axes(tensor: torch.Tensor) -> list[tuple[int, int]]:
    """(stride in bytes, size) of every axis with more than one index."""
    width = tensor.element_size()
    return [(stride * width, size) for stride, size in zip(tensor.stride(), tensor.shape) if size > 1]


def _is_reached(axes: list[tuple[int, int, int]], distance: int, steps: list[int]) -> bool:
    """True if `distance` is a sum of stride * n, low <= n <= high, one n an axis; axes come from the largest stride down."""
    steps[0] += 1
    if steps[0] > _MOST_STEPS:
        return True
    if not axes:
        return distance == 0
    (stride, low, high), rest = axes[0], axes[1:]
    if stride == 0:
        return distance == 0
    if distance % math.gcd(stride, *(each[0] for each in rest)) != 0:
        return False
    least = sum(each_stride * each_low for each_stride, each_low, _ in rest)
    most = sum(each_stride * each_high for each_stride, _, each_high in rest)
    first, last = max(low, -((most - distance) // stride)), min(high, (distance - least) // stride)
    return any(_is_reached(rest, distance - stride * n, steps) for n in range(first, last + 1))
