"""What a frame says of the slots of a layer: tensors [batch, 1 or kv_heads, slots], and what they are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Written:
    """Keys as the model wrote them, of the first slots of a layer, at positions [batch, 1 or kv_heads, slots]."""

    keys: torch.Tensor
    positions: torch.Tensor


def ascend(positions: torch.Tensor, valid: torch.Tensor) -> bool:
    """True if each token stands behind those in the slots before it; slots that are not valid count for nothing."""
    if positions.shape[-1] == 0:
        return True
    lowest = torch.iinfo(torch.int64).min
    before = positions.masked_fill(~valid, lowest).cummax(dim=-1).values[..., :-1]
    return not bool((valid[..., 1:] & (positions[..., 1:] <= before)).any())


def places_at(places: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """`places` at `slots`, int64 [kept] or [batch or 1, kv_heads or 1, kept]."""
    if slots.dim() == 1:
        return places[..., slots]
    shape = torch.broadcast_shapes(places.shape[:2], slots.shape[:2])
    return places.expand(*shape, -1).gather(-1, slots.expand(*shape, -1))


def cat_places(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """One behind another, by head where any of them is."""
    heads = max(each.shape[1] for each in parts)
    return torch.cat([each.expand(-1, heads, -1) for each in parts], dim=-1)


def shared(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Equal tensors as one object, so that layers that are alike move in one call."""
    distinct: list[torch.Tensor] = []
    found = []
    for tensor in tensors:
        same = next((each for each in distinct if each is tensor or torch.equal(each, tensor)), None)
        if same is None:
            distinct.append(tensor)
        found.append(tensor if same is None else same)
    return found


def version(tensor: torch.Tensor) -> int | None:
    """Counts changes in place; tensors of inference mode do not."""
    return None if tensor.is_inference() else tensor._version
