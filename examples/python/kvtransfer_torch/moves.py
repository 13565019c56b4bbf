"""Moves keys in place: lists of tensors [batch, kv_heads, seq, head_dim], one a layer, by torch.ops.kvtransfer.rotate_keys_.

All layers of one shape and one rotary embedding go in one call: one pass on a CPU, one kernel on a GPU. Head_dim has to be
contiguous; other strides are free. float32, bfloat16, float16 and float8 (not float64; a move by which a key would outgrow float8
is refused). Angles are exact to 2e-7 radians.

`rotary` is one Rotary, or a list with one a layer, None where the layer has no RoPE: its keys stay as they are.

Positions are int64 [seq], or [batch, kv_heads, seq] with 1 for an axis along which they are the same; two axes are refused, since
they could mean either. One tensor, or a list with one a layer. |position| <= 2**24.

Everything is checked before the first key changes: layers that share memory, and would turn a key twice, too. A layer given
twice, as one that another layer reads, moves once.

Values are never touched: they carry no position.
"""

import operator
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.autograd import forward_ad

from . import fp8_range
from .library import operators
from .overlap import is_same_view, overlapping_pairs, reaches_an_element_twice
from .rotary import Rotary

Rotaries = Rotary | None | Sequence[Rotary | None]
Positions = torch.Tensor | Sequence[torch.Tensor]

LARGEST_POSITION = 1 << 24
_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2)


def shift_(layers: Sequence[torch.Tensor], rotary: Rotaries, delta: int) -> None:
    """Moves every key by `delta` tokens."""
    run(plan("shift_", layers, None, rotary, None, None, delta=delta))


def remap_(
    layers: Sequence[torch.Tensor], rotary: Rotaries, old: Positions, new: Positions, model_faithful: bool = False
) -> None:
    """Moves keys from positions `old` to `new`.

    model_faithful  rotate by fl32(new * f) - fl32(old * f) instead of the exact difference: what a model that computes its
                    angles in float32, as transformers does, would have written at `new`
    """
    run(plan("remap_", layers, rotary, rotary, old, new, model_faithful=model_faithful))


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
    run(plan("reframe_", layers, stored, target, old, new, model_faithful=model_faithful))


def unrotate_(layers: Sequence[torch.Tensor], rotary: Rotaries, old: Positions) -> None:
    """Takes the rotation off keys at positions `old`, and the attention scaling."""
    run(plan("unrotate_", layers, rotary, None, old, None))


def rotate_(layers: Sequence[torch.Tensor], rotary: Rotaries, new: Positions) -> None:
    """Rotates keys that carry no rotation to positions `new`, with the attention scaling."""
    run(plan("rotate_", layers, None, rotary, None, new))


class Rotation(NamedTuple):
    """What happens to one layer: stored under `stored` at `old`, wanted under `target` at `new`; None: without rotation.

    Without either positions, every key moves by one delta under `target`.
    """

    stored: Rotary | None
    target: Rotary | None
    old: torch.Tensor | None
    new: torch.Tensor | None

    @property
    def geometry(self) -> Rotary:
        return self.target if self.target is not None else self.stored

    @property
    def is_shared(self) -> bool:
        return self.old is None and self.new is None

    def equals(self, other: "Rotation") -> bool:
        """By value."""
        rotaries = zip(self[:2], other[:2])
        positions = zip(self[2:], other[2:])
        return all(a is b or (a is not None and a.equals(b)) for a, b in rotaries) and all(
            a is b or (a is not None and b is not None and torch.equal(a.cpu(), b.cpu())) for a, b in positions
        )


class Call(NamedTuple):
    """Layers that one call of an operator moves. `blocks` of their first axis, or None for all of it."""

    keys: list[torch.Tensor]
    blocks: torch.Tensor | None
    rotation: Rotation
    delta: int
    model_faithful: bool


def plan(
    where: str,
    layers: Sequence[torch.Tensor],
    stored: Rotaries,
    target: Rotaries,
    old: Positions | None,
    new: Positions | None,
    delta: int = 0,
    model_faithful: bool = False,
    blocks: torch.Tensor | None = None,
) -> list[Call]:
    """The calls that move `layers`, all of them checked. Raises ValueError; nothing has changed then.

    where   who is at work, for messages
    blocks  int64 [n]: which of the layers' first axis move; positions are then those of n blocks
    """
    operators()  # refuses before load()
    delta = _checked_delta(where, delta)
    columns = [one_a_layer(given, len(layers), f"{where}: {name}") for name, given in _named(stored, target, old, new)]
    rotations = [Rotation(*each) for each in zip(*columns)]
    moved = [layer for layer, each in enumerate(rotations) if each.stored is not None or each.target is not None]
    seen: set[tuple] = set()  # positions that were looked at already
    for layer in moved:
        _check_keys(where, layers[layer])
        _check_rotation(where, layers[layer], rotations[layer], len(layers[layer]) if blocks is None else len(blocks), seen)
    calls: dict[tuple, Call] = {}
    for layer in _apart(where, layers, rotations, moved):
        keys, rotation = layers[layer], rotations[layer]
        group = (keys.shape, keys.dtype, keys.device, *map(id, rotation))
        rows = None if blocks is None else blocks.to(keys.device)
        calls.setdefault(group, Call([], rows, rotation, delta, model_faithful)).keys.append(keys)
    for call in calls.values():
        _require_in_fp8(where, call)
    return list(calls.values())


def run(calls: list[Call]) -> None:
    for call in calls:
        if call.blocks is None:
            operators().rotate_keys_(call.keys, *_arguments(call))
        else:
            operators().rotate_blocks_(call.keys, call.blocks, *_arguments(call))


def _arguments(call: Call) -> tuple:
    return rotation_arguments(call.keys[0].device, *call.rotation, call.delta, call.model_faithful)


def _require_in_fp8(where: str, call: Call) -> None:
    if call.keys[0].dtype not in fp8_range.FORMATS:
        return
    meant = call.keys if call.blocks is None else [_blocks_of(keys, call.blocks) for keys in call.keys]
    rotary_dim = 2 * len(call.rotation.geometry.inv_freq)
    rotate_ = lambda keys: operators().rotate_keys_([keys], *_arguments(call))  # noqa: E731
    fp8_range.require_in_range(where, meant, rotary_dim, _gain(call.rotation), rotate_)


def _blocks_of(keys: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
    return keys.view(torch.uint8).index_select(0, blocks).view(keys.dtype)  # no index_select of fp8 on CPUs


def rotation_arguments(device, stored, target, old, new, delta: int = 0, model_faithful: bool = False) -> tuple:
    """What the operators rotate_keys_, rotate_keys and rotate_blocks_ take after the keys (and the blocks)."""
    rotation = Rotation(stored, target, old, new)
    return (
        None if old is None else old.to(device),
        None if new is None else new.to(device),
        delta,
        None if stored is None else stored.inv_freq,
        None if target is None else target.inv_freq,
        None,  # stream_of: every pair follows the one stream of positions
        _gain(rotation),
        0,  # window_offset
        rotation.geometry.interleaved,
        model_faithful,
    )


def one_a_layer(given, count: int, what: str) -> list:
    """`given` if it is a list, else the same for each of `count` layers."""
    if not isinstance(given, (list, tuple)):
        return [given] * count
    if len(given) != count:
        raise ValueError(f"{what}: expected one for each of {count} layers, got {len(given)}")
    return list(given)


def gradient_of(tensor: torch.Tensor) -> str | None:
    """How a derivative of `tensor` is asked for, as errors say it; None: not at all."""
    if tensor.requires_grad:
        return "requires_grad"
    return None if forward_ad.unpack_dual(tensor).tangent is None else "a dual with a tangent"


def require_positions(where: str, positions, extents: Sequence[int]) -> None:
    """Raises ValueError unless `positions` are int64 [seq], or [batch, kv_heads, seq] where 1 stands for any, within range."""
    batch, kv_heads, seq = extents
    expected = f"int64 [seq={seq}] or {named_axes(batch, kv_heads)[:-1]}, seq={seq}]"
    if not isinstance(positions, torch.Tensor):
        raise ValueError(f"{where}: positions: expected a tensor, {expected}, got {type(positions).__name__}")
    shape = tuple(positions.shape)
    fits = shape == (seq,) or (len(shape) == 3 and shape[0] in (1, batch) and shape[1] in (1, kv_heads) and shape[2] == seq)
    if positions.dtype != torch.int64 or not fits:
        hint = " (of two axes it is not known which is meant)" if len(shape) == 2 else ""
        raise ValueError(f"{where}: positions: expected {expected}, got {positions.dtype} {list(shape)}{hint}")
    if positions.is_meta:
        raise ValueError(f"{where}: positions: expected numbers, got a tensor on meta")
    if positions.numel() > 0 and not torch.compiler.is_compiling():
        least, most = (int(each) for each in positions.aminmax())
        if max(-least, most) > LARGEST_POSITION:
            raise ValueError(f"{where}: positions: expected |position| <= {LARGEST_POSITION}, got {least} to {most}")


def named_axes(batch: int, kv_heads: int) -> str:
    """For messages."""
    return f"[batch={batch}{' or 1' * (batch > 1)}, kv_heads={kv_heads}{' or 1' * (kv_heads > 1)}]"


def _named(stored, target, old, new):
    return (("rotary", stored), ("rotary", target), ("positions", old), ("positions", new))


def _gain(rotation: Rotation) -> float:
    """Scaling to put in over scaling to take out: 1 for a key that stays in its embedding, however often it moves."""
    if rotation.is_shared:
        return 1.0
    scaling = [1.0 if each is None else each.attention_scaling for each in rotation[:2]]
    return scaling[1] / scaling[0]


def _checked_delta(where: str, delta) -> int:
    try:
        number = operator.index(delta)
    except TypeError:
        raise ValueError(f"{where}: delta: expected an integer, got {type(delta).__name__}") from None
    if abs(number) > 2 * LARGEST_POSITION:
        raise ValueError(f"{where}: delta: expected at most {2 * LARGEST_POSITION} either way, got {number}")
    return number


def _check_keys(where: str, keys) -> None:
    if not isinstance(keys, torch.Tensor) or keys.dim() != 4 or keys.dtype not in _DTYPES:
        got = f"{keys.dtype} {list(keys.shape)}" if isinstance(keys, torch.Tensor) else type(keys).__name__
        raise ValueError(f"{where}: keys: expected 4 axes of 32 bits or fewer, got {got}")
    if keys.is_meta:
        raise ValueError(f"{where}: keys: expected numbers, got a tensor on meta")
    if (tracked := gradient_of(keys)) is not None:
        raise ValueError(
            f"{where}: keys: expected no gradient (torch.ops.kvtransfer.rotate_keys returns copies and has one), got {tracked}"
        )
    if keys.size(3) > 1 and keys.stride(3) != 1:
        raise ValueError(f"{where}: keys: expected a contiguous head_dim, got strides {keys.stride()}")
    if reaches_an_element_twice(keys):
        raise ValueError(f"{where}: keys: expected each in a place of its own, got strides {keys.stride()}")


def _check_rotation(where: str, keys: torch.Tensor, rotation: Rotation, rows: int, seen: set[tuple]) -> None:
    stored, target, old, new = rotation
    geometry = rotation.geometry
    for each in (stored, target):
        if not (each is None or isinstance(each, Rotary)):
            raise ValueError(f"{where}: rotary: expected a Rotary or None, got {type(each).__name__}")
    if stored is not None and (len(stored.inv_freq), stored.interleaved) != (len(geometry.inv_freq), geometry.interleaved):
        raise ValueError(f"{where}: rotary: expected the same rotary_dim and pairing on both sides, got different ones")
    if 2 * len(geometry.inv_freq) > keys.size(3):
        raise ValueError(f"{where}: rotary: expected rotary_dim <= head_dim={keys.size(3)}, got {2 * len(geometry.inv_freq)}")
    for name, rotary, positions in (("old", stored, old), ("new", target, new)):
        if rotary is None and positions is not None:
            raise ValueError(f"{where}: positions: expected none for a side without rotation, got {name}")
    by_difference = rotation.is_shared or (stored is not None and stored.rotates_like(target))
    if geometry.streams > 1 and not by_difference:
        raise ValueError(f"{where}: rotary: M-RoPE keys of three streams move by differences alone (shift_, remap_)")
    for positions in (old, new):
        if positions is not None and (id(positions), keys.shape) not in seen:
            require_positions(where, positions, (rows, *keys.shape[1:3]))
            seen.add((id(positions), keys.shape))


def _apart(where: str, layers, rotations: list[Rotation], moved: list[int]) -> list[int]:
    """`moved` without layers that are there already. Raises ValueError where a key would be turned twice."""
    if torch.compiler.is_compiling():
        return moved
    again = set()
    for a, b in overlapping_pairs([layers[layer] for layer in moved]):
        first, second = sorted((moved[a], moved[b]))
        if not is_same_view(layers[first], layers[second]) or not rotations[first].equals(rotations[second]):
            what = "one tensor under two rotations" if is_same_view(layers[first], layers[second]) else "shared memory"
            raise ValueError(f"{where}: keys: expected layers that share no memory, got {what} in layers {first} and {second}")
        again.add(second)
    return [layer for layer in moved if layer not in again]
