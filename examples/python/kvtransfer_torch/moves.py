"""Moves keys in place: lists of tensors [batch, kv_heads, seq, head_dim], one a layer, by torch.ops.kvtransfer.rotate_keys_.

All layers of one shape and one rotary embedding go in one call: one pass on a CPU, one kernel on a GPU. Head_dim has to be
contiguous; other strides are free. float32, bfloat16, float16 and float8 (not float64). Angles are exact to 2e-7 radians;
positions are int64, |position| <= 2**24, and broadcast to [batch, kv_heads, seq].

`rotary` is one Rotary, or one a layer, None where the layer has no RoPE: its keys stay as they are. Positions too may be one
tensor or one a layer. Everything is checked before the first key changes.

Values are never touched: they carry no position.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch

from .rotary import Rotary

Rotaries = Rotary | None | Sequence[Rotary | None]
Positions = torch.Tensor | Sequence[torch.Tensor]

_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2)


def shift_(layers: Sequence[torch.Tensor], rotary: Rotaries, delta: int) -> None:
    """Moves every key by `delta` tokens."""
    _rotate_each_(layers, None, rotary, None, None, delta)


def remap_(
    layers: Sequence[torch.Tensor], rotary: Rotaries, old: Positions, new: Positions, model_faithful: bool = False
) -> None:
    """Moves keys from positions `old` to `new`.

    model_faithful  rotate by fl32(new * f) - fl32(old * f) instead of the exact difference: what a model that computes its
                    angles in float32, as transformers does, would have written at `new`
    """
    _rotate_each_(layers, rotary, rotary, old, new, model_faithful=model_faithful)


def reframe_(
    layers: Sequence[torch.Tensor],
    stored: Rotaries,
    old: Positions,
    target: Rotaries,
    new: Positions,
    model_faithful: bool = False,
) -> None:
    """Moves keys stored at `old` under one embedding to `new` under another, scaling included.

    For embeddings that change with the length (dynamic NTK, LongRoPE), or between models that differ in nothing but their RoPE.
    """
    _rotate_each_(layers, stored, target, old, new, model_faithful=model_faithful)


def unrotate_(layers: Sequence[torch.Tensor], rotary: Rotaries, old: Positions) -> None:
    """Takes the rotation off keys at positions `old`, and the attention scaling."""
    _rotate_each_(layers, rotary, None, old, None)


def rotate_(layers: Sequence[torch.Tensor], rotary: Rotaries, new: Positions) -> None:
    """Rotates keys that carry no rotation to positions `new`, with the attention scaling."""
    _rotate_each_(layers, None, rotary, None, new)


def _rotate_each_(layers, stored, target, old, new, delta: int = 0, model_faithful: bool = False) -> None:
    alike = defaultdict(list)  # layers that one call can take
    rotations = {}
    columns = (one_a_layer(given, len(layers)) for given in (stored, target, old, new))
    for keys, *rotation in zip(layers, *columns, strict=True):
        if rotation[0] is None and rotation[1] is None:
            continue  # no RoPE
        _check(keys, *rotation)
        group = (keys.shape, keys.dtype, keys.device, *map(id, rotation))
        alike[group].append(keys)
        rotations[group] = rotation
    for group, members in alike.items():
        torch.ops.kvtransfer.rotate_keys_(members, *rotation_arguments(members[0].device, *rotations[group], delta, model_faithful))


def rotation_arguments(device, stored, target, old, new, delta: int = 0, model_faithful: bool = False) -> tuple:
    """What the operators rotate_keys_, rotate_keys and rotate_blocks_ take after the keys (and the rows)."""
    geometry = target if target is not None else stored
    return (
        None if old is None else old.to(device),
        None if new is None else new.to(device),
        delta,
        None if stored is None else stored.inv_freq,
        None if target is None else target.inv_freq,
        None,  # stream_of: every pair follows the one stream of positions
        _gain(stored, target, is_shared_delta=old is None and new is None),
        0,  # window_offset
        geometry.interleaved,
        model_faithful,
    )


def _gain(stored: Rotary | None, target: Rotary | None, is_shared_delta: bool) -> float:
    """Scaling to put in over scaling to take out: 1 for a key that stays in its embedding, however often it moves."""
    if is_shared_delta:
        return 1.0
    return (1.0 if target is None else target.attention_scaling) / (1.0 if stored is None else stored.attention_scaling)


def one_a_layer(given, count: int) -> list:
    """`given` if it is a list, else the same for each of `count` layers."""
    return list(given) if isinstance(given, (list, tuple)) else [given] * count


def _check(keys: torch.Tensor, stored, target, old, new) -> None:
    geometry = target if target is not None else stored
    if keys.dim() != 4 or keys.dtype not in _DTYPES:
        raise ValueError(f"rotate_keys_: keys: expected 4 axes of 32 bits or fewer, got {keys.dtype} {list(keys.shape)}")
    if keys.requires_grad:
        raise ValueError(
            "rotate_keys_: keys: expected no gradient (torch.ops.kvtransfer.rotate_keys returns copies and has one), got requires_grad"
        )
    if keys.size(3) > 1 and keys.stride(3) != 1:
        raise ValueError(f"rotate_keys_: keys: expected a contiguous head_dim, got strides {keys.stride()}")
    if stored is not None and (len(stored.inv_freq), stored.interleaved) != (len(geometry.inv_freq), geometry.interleaved):
        raise ValueError("rotate_keys_: rotary: expected the same rotary_dim and pairing on both sides, got different ones")
    if 2 * len(geometry.inv_freq) > keys.size(3):
        raise ValueError(f"rotate_keys_: rotary: expected rotary_dim <= head_dim={keys.size(3)}, got {2 * len(geometry.inv_freq)}")
    if len(geometry.inv_freq) > 256:
        raise ValueError(f"rotate_keys_: rotary: expected rotary_dim <= 512, got {2 * len(geometry.inv_freq)}")
    for name, rotary, positions in (("old", stored, old), ("new", target, new)):
        if rotary is None and positions is not None:
            raise ValueError(f"rotate_keys_: positions: expected none for a side without rotation, got {name}")
    if any(size > 1 and stride == 0 for size, stride in zip(keys.shape, keys.stride())):
        raise ValueError(f"rotate_keys_: keys: expected each in a place of its own, got strides {keys.stride()}")
    by_difference = old is None and new is None or stored is not None and stored.rotates_like(target)
    if geometry.streams > 1 and not by_difference:
        raise ValueError("rotate_keys_: rotary: M-RoPE keys of three streams move by differences alone (shift_, remap_)")
    for positions in (old, new):
        if positions is not None and not _fits(positions, keys):
            got = f"{positions.dtype} {list(positions.shape)}"
            raise ValueError(f"rotate_keys_: positions: expected int64 that broadcasts to {list(keys.shape[:3])}, got {got}")


def _fits(positions: torch.Tensor, keys: torch.Tensor) -> bool:
    sizes = tuple(positions.shape)
    target = tuple(keys.shape[:3])[3 - len(sizes) :]
    return positions.dtype == torch.int64 and len(sizes) <= 3 and all(a in (1, b) for a, b in zip(sizes, target))
